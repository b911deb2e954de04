"""What is to be done about a job: values only, made by `decide`, carried out by `reconcile`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kubetune.api.status import Failure, Phase
from kubetune.controller.observe import Observation
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import Checkpoint

SUSPENDED = "Suspended"
SUCCEEDED = "Succeeded"
SUSPENDING = "Suspending"


@dataclass(frozen=True)
class CreateAttempt:
    """A new PyTorchJob. Its name follows from the number: doing it twice makes one."""

    number: int
    resume_from: tuple[str, ...] = ()
    model_uri: str | None = None


@dataclass(frozen=True)
class DeleteChild:
    """A PyTorchJob of ours and its pods."""

    name: str
    uid: str
    reason: str


@dataclass(frozen=True)
class NudgeChild:
    """A PyTorchJob that the training operator is to look at again."""

    name: str
    uid: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class ReleaseChild:
    """A PyTorchJob that was made suspended may have its pods."""

    name: str
    uid: str


@dataclass(frozen=True)
class DeletePod:
    """A pod that runs on though its job is finished."""

    name: str
    uid: str
    reason: str


@dataclass(frozen=True)
class DeleteJob:
    """The resource itself."""

    reason: str


Action = CreateAttempt | NudgeChild | ReleaseChild | DeleteChild | DeletePod | DeleteJob


@dataclass(frozen=True)
class AttemptEnd:
    """How the live attempt ended."""

    reason: str
    message: str
    exit_code: int | None = None
    resumed_from: str | None = None
    last_step: int | None = None


@dataclass(frozen=True)
class Decision:
    """The phase, why, and what to do.

    Evidence is written before anything is destroyed: a decision that ends an attempt deletes nothing, the next one does.
    """

    phase: Phase
    reason: str
    message: str = ""
    actions: tuple[Action, ...] = ()
    ended: AttemptEnd | None = None
    failure: Failure | None = None  # None: the last one stays
    final_checkpoint: Checkpoint | None = None
    keep_leftovers: bool = False  # the PyTorchJobs of ended attempts stay
    stalled: bool = False  # nothing will happen unless somebody changes something
    requeue_after: float | None = None  # seconds; 0: there is more to do at once


Policy = Callable[[Observation, ControllerSettings, datetime], Decision | None]
"""One reason to decide: None where it does not apply."""
