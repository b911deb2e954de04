"""The seam between what trains and what tells the truth about it: one backend is one class with these methods.

A backend only runs and says what it left on disk. Preflight, verification, progress and the verdict are the same for all
(`kubetune_trainer.run`), so that no backend can call its own run a success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from kubetune_trainer.contract import CheckpointKind, CheckpointPolicy


@dataclass(frozen=True)
class Torchrun:
    """Who takes part. `endpoint` is the master's host:port; None: this node alone."""

    nproc_per_node: int = 1
    nnodes: int = 1
    node_rank: int = 0
    rdzv_id: str = "0"
    endpoint: str | None = None
    join_timeout_seconds: int = 600  # how long all nodes together wait for the last of them


@dataclass(frozen=True)
class Patience:
    """How long a run may go without a new step."""

    seconds: float
    since: float  # time.monotonic() from which the first step is waited for


@dataclass(frozen=True)
class BackendRun:
    """Everything that a backend needs for one run; already validated, every path absolute."""

    algorithm: str
    model_dir: Path
    data_file: Path  # tokenised JSONL: input_ids, labels and len a line
    output_dir: Path  # new and empty, but for what a resume put there; shared by the nodes unless node_output is set
    parameters: Mapping[
        str, Any
    ]  # by the usage documents' names, defaults of ours filled in; what is absent is the backend's default
    torchrun: Torchrun = field(default_factory=Torchrun)
    device: Literal["gpu", "cpu"] = "gpu"
    checkpoint: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    node_output: bool = False  # each node has an output_dir of its own, and keeps its shards of a full state there
    resume_from: Path | None = None  # a verified full state of an earlier attempt: read, never written
    patience: Patience | None = None  # None: for ever
    further: Mapping[str, Any] = field(default_factory=dict)  # the backend's own arguments, by its names (backends.further)
    cache_dir: Path | None = None  # where a backend may keep what later runs can use; None: nowhere


@dataclass(frozen=True)
class StepMetrics:
    """One line of the backend's metrics file, in our units. Losses may be NaN: the verdict looks at that."""

    step: int  # 1-based, over the whole run
    epoch: int  # 0-based
    steps_per_epoch: int
    loss: float
    learning_rate: float | None
    samples_seen: float
    tokens_per_second: float | None
    samples_per_second: float | None
    time: datetime | None


@dataclass(frozen=True)
class FoundCheckpoint:
    """A directory that looks like a checkpoint. Nothing about it is verified."""

    path: Path
    kind: CheckpointKind
    step: int  # optimizer steps that it holds, over the whole run
    epoch: int | None  # complete epochs that it holds
    seconds: float | None = None  # for which saving it held up the training, where that is known


class Backend(Protocol):
    """One training library. What it writes below output_dir is named as in kubetune_trainer.run.LEFTOVERS."""

    name: ClassVar[str]
    algorithm: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]  # whose versions every manifest is to name

    def run(self, run: BackendRun) -> None:
        """Trains, blocking, in child processes that all end with this call (also by an exception or a signal).

        Raises:
            TrainingError: a worker failed; its class and log tail are those of the rank that failed first.

        Returning proves nothing: both libraries return normally from runs that trained nothing.

        """

    def total_steps(self, run: BackendRun) -> int | None:
        """Optimizer steps of the whole run if they are known before the first one, else None (StepMetrics tell later)."""

    def metrics_file(self, run: BackendRun) -> Path:
        """Where this node's metrics appear, a JSON object a line (bare NaN allowed), appended across restarts."""

    def parse_metrics(self, line: Mapping[str, Any], run: BackendRun) -> StepMetrics | None:
        """That line in our units; None for a line that is no step."""

    def stop_file(self, run: BackendRun) -> Path | None:
        """What this node makes to ask all ranks to save a full state and to end (FailureClass.PREEMPTED); None: they do not."""

    def found(self, run: BackendRun, steps: list[StepMetrics]) -> list[FoundCheckpoint]:
        """The checkpoints now below output_dir, oldest first; `steps` places a samples count on the step axis."""
