"""The resource's status: written by the operator, but for `progress` and `checkpoints`, which the trainer reports."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from kubetune.api.base import ApiModel
from kubetune_trainer.contract import MAX_CHECKPOINTS, Checkpoint, FailureClass, Progress

MAX_ATTEMPTS = 20
MAX_MESSAGE = 2048
MAX_LOG_TAIL = 8192


class Phase(StrEnum):
    """Where the job stands, in one word. Conditions say why."""

    PENDING = "Pending"  # seen, nothing created yet
    QUEUED = "Queued"  # the child exists and waits to be admitted by a queue
    STARTING = "Starting"  # pods exist, no step yet
    RUNNING = "Running"  # at least one step was reported, or the master runs
    RESTARTING = "Restarting"  # an attempt ended, the next waits for its back-off
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"

    @property
    def finished(self) -> bool:
        return self in (Phase.SUCCEEDED, Phase.FAILED)


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
    py_torch_job: str = Field(description="Name of the attempt's PyTorchJob.")
    started: datetime = Field(description="When the PyTorchJob was asked for.")
    ended: datetime | None = Field(default=None, description="When it ended; absent while it runs.")
    queued: int | None = Field(
        default=None, ge=0, description="Seconds in Kueue's queue; absent without a queue, and until the queue has admitted it."
    )
    reason: str | None = Field(default=None, description="Succeeded, Suspended, or the failure's class.")
    message: str | None = Field(default=None, max_length=MAX_MESSAGE, description="How it ended, in one sentence.")
    exit_code: int | None = Field(default=None, description="Exit code of the container that failed first, else of the master.")
    resumed_from: str | None = Field(default=None, description="URI of the full state from which it went on.")
    last_step: int | None = Field(default=None, ge=0, description="Last optimizer step that it reported.")


class Failure(ApiModel):
    """Why the job (or its last attempt) failed."""

    failure_class: FailureClass = Field(alias="class")
    reason: str = Field(description="One word in CamelCase, for programs.")
    message: str = Field(max_length=MAX_MESSAGE, description="What went wrong and what to do, for people.")
    pod: str | None = Field(default=None, description="The pod that failed first.")
    node: str | None = Field(default=None, description="The node that it ran on.")
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

    phase: Phase | None = None
    observed_generation: int | None = Field(default=None, description="The metadata.generation that this status describes.")
    spec_hash: str | None = Field(default=None, description="Hash of what is trained, fixed when the first attempt starts.")
    conditions: tuple[Condition, ...] = Field(default=(), description="What holds of the job and why, as kstatus reads it.")
    progress: Progress | None = None
    attempts: tuple[Attempt, ...] = Field(default=(), max_length=MAX_ATTEMPTS, description="The last attempts, oldest first.")
    restarts: int = Field(default=0, ge=0, description="Attempts after the first that were counted against backoffLimit.")
    checkpoints: tuple[Checkpoint, ...] = Field(
        default=(), max_length=MAX_CHECKPOINTS, description="The last checkpoints, oldest first."
    )
    best_checkpoint: Checkpoint | None = Field(
        default=None, description="The checkpoint of the lowest validation loss, if one was computed."
    )
    final_checkpoint: Checkpoint | None = Field(default=None, description="The verified checkpoint of the last step.")
    failure: Failure | None = None
    goodput: Goodput | None = None
    start_time: datetime | None = Field(default=None, description="When the first attempt was started.")
    completion_time: datetime | None = Field(default=None, description="When the job Succeeded or Failed.")
