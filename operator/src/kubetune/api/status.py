"""The resource's status: written by the operator, but for `progress` and `checkpoints`, which the trainer reports."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from kubetune.api.base import ApiModel
from kubetune_trainer.contract import MAX_CHECKPOINTS, MAX_URI, Checkpoint, FailureClass, Progress

MAX_ATTEMPTS = 20
MAX_MESSAGE = 2048
MAX_LOG_TAIL = 8192
MAX_REASON = 256
MAX_NAME = 253
"""Of an object, as Kubernetes has it."""


class Phase(StrEnum):
    """Where the job stands, in one word. Conditions say why."""

    PENDING = "Pending"
    QUEUED = "Queued"
    STARTING = "Starting"
    RUNNING = "Running"
    RESTARTING = "Restarting"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def finished(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED)


PHASES = {
    Phase.PENDING: "nothing was created yet",
    Phase.QUEUED: "waits for its queue to admit it",
    Phase.STARTING: "the pods are being scheduled and started",
    Phase.RUNNING: "the master runs",
    Phase.RESTARTING: "an attempt ended; the next one is to follow",
    Phase.SUSPENDED: "runPolicy.suspend stopped it",
    Phase.SUCCEEDED: "the last step was done and its checkpoint verified",
    Phase.FAILED: "it will not be tried again",
}


class Condition(ApiModel):
    """As metav1.Condition."""

    type: str = Field(description="Valid, Admitted, Running, Suspended, Succeeded, Failed, Reconciling or Stalled.", max_length=316)
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds: True, False or Unknown.")
    reason: str = Field(description="One word in CamelCase, for programs.", max_length=1024)
    message: str = Field(default="", description="One sentence, for people.", max_length=32768)
    observed_generation: int | None = Field(default=None, description="The metadata.generation that this was said of.")
    last_transition_time: datetime = Field(description="When status last changed.")


class Attempt(ApiModel):
    """One try: one PyTorchJob."""

    number: int = Field(ge=1, description="Counts the attempts, from 1.")
    py_torch_job: str = Field(max_length=MAX_NAME, description="Name of the attempt's PyTorchJob.")
    started: datetime = Field(description="When the PyTorchJob was asked for.")
    ended: datetime | None = Field(default=None, description="When it ended; absent while it runs.")
    queued: int | None = Field(
        default=None, ge=0, description="Seconds in Kueue's queue; absent without a queue, and until the queue has admitted it."
    )
    reason: str | None = Field(default=None, max_length=MAX_REASON, description="Succeeded, Suspended, or the failure's class.")
    message: str | None = Field(default=None, max_length=MAX_MESSAGE, description="How it ended, in one sentence.")
    exit_code: int | None = Field(default=None, description="Exit code of the container that failed first, else of the master.")
    resumed_from: str | None = Field(
        default=None, max_length=MAX_URI, description="URI of the full state from which it went on; absent: from the start."
    )
    last_step: int | None = Field(default=None, ge=0, description="Last optimizer step that it reported.")


class Failure(ApiModel):
    """Why the job (or its last attempt) failed."""

    failure_class: FailureClass = Field(alias="class")
    reason: str = Field(max_length=MAX_REASON, description="One word in CamelCase, for programs.")
    message: str = Field(max_length=MAX_MESSAGE, description="What went wrong and what to do, for people.")
    pod: str | None = Field(default=None, max_length=MAX_NAME, description="The pod that failed first.")
    node: str | None = Field(default=None, max_length=MAX_NAME, description="The node that it ran on.")
    exit_code: int | None = Field(default=None, description="Exit code of its trainer container.")
    log_tail: str | None = Field(default=None, max_length=MAX_LOG_TAIL, description="The last log lines that hold the root error.")


class Goodput(ApiModel):
    """Whole seconds of the job's life, by what they were spent on."""

    queued: int = Field(default=0, ge=0, description="From the first sight of the job to its first running pod.")
    training: int = Field(default=0, ge=0, description="Attempts' time up to the last checkpoint or the end: work that was kept.")
    lost: int = Field(default=0, ge=0, description="Attempts' time whose steps were lost and had to be computed again.")
    waiting: int = Field(default=0, ge=0, description="Between attempts: back-off, suspended time, the queue again.")


class JobStatus(ApiModel):
    """Everything that is known of the job."""

    phase: Phase | None = Field(
        default=None, description=f"Where the job stands: {'; '.join(f'{each.value}: {text}' for each, text in PHASES.items())}."
    )
    observed_generation: int | None = Field(
        default=None,
        ge=-1,
        description="The metadata.generation that this status describes; -1: the operator has written nothing yet.",
    )
    spec_hash: str | None = Field(
        default=None, max_length=64, description="SHA-256 of what is trained, fixed when the first attempt starts."
    )
    conditions: tuple[Condition, ...] = Field(
        default=(), description="What holds of the job and why (docs/status.md), for kubectl wait, kstatus and Argo CD."
    )
    progress: Progress | None = None
    attempts: tuple[Attempt, ...] = Field(default=(), max_length=MAX_ATTEMPTS, description="The last attempts, oldest first.")
    restarts: int = Field(default=0, ge=0, description="Attempts after the first that were counted against backoffLimit.")
    checkpoints: tuple[Checkpoint, ...] = Field(
        default=(), max_length=MAX_CHECKPOINTS, description="The last checkpoints, oldest first."
    )
    final_checkpoint: Checkpoint | None = Field(default=None, description="The verified checkpoint of the last step.")
    failure: Failure | None = None
    goodput: Goodput | None = None
    start_time: datetime | None = Field(default=None, description="When the first attempt was started.")
    completion_time: datetime | None = Field(default=None, description="When the job Succeeded or Failed.")
