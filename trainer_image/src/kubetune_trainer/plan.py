"""What a run is asked to do and what comes of it: the values that `run_training` takes and returns."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kubetune_trainer.backends.base import Backend, Patience, Torchrun
from kubetune_trainer.contract import Checkpoint, CheckpointPolicy, FailureClass, JobIdentity, Outcome, Report, Tracking
from kubetune_trainer.data.report import DataReport
from kubetune_trainer.data.settings import OFF, DataSettings
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.parameters import TrainingParameters
from kubetune_trainer.preemption import GracefulStop
from kubetune_trainer.result_view import html_of, text_of

if TYPE_CHECKING:
    from kubetune_trainer.checkpoints import Verifier
    from kubetune_trainer.checkpoints.ledger import Entry
    from kubetune_trainer.storage.output import OutputStore


def plain_verifiers() -> Mapping[str, Verifier]:
    """Of an algorithm that leaves whole models; imported when called, for it needs torch."""
    from kubetune_trainer.checkpoints import verify_hf

    return {"hf": verify_hf}


CACHE_NAME = "data-cache"


@dataclass(frozen=True)
class RunPlan:
    """One run on this node. With `job` it is an attempt of a resource; without, a call of the library."""

    algorithm: str
    backend: Backend
    model: str  # a directory, hf://org/name[@revision], s3://bucket/key, or (library only) a Hub id
    dataset: str  # a file, hf://org/name[@revision]/file.jsonl or s3://bucket/key
    dataset_format: Literal["messages", "processed", "pretraining"]
    output_dir: Path
    output_uri: str  # output_dir as the user names it
    parameters: TrainingParameters
    further: Mapping[str, Any] = field(default_factory=dict)  # the backend's own arguments (backends.further)
    torchrun: Torchrun = field(default_factory=Torchrun)
    device: Literal["gpu", "cpu"] = "gpu"
    checkpoint: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    resume_from: tuple[str, ...] = ()  # full-state directories, or s3:// URIs, best first
    job: JobIdentity | None = None
    attempt: int = 1
    data_dir: Path | None = None  # None: parameters.data_output_dir, else below output_dir
    verifiers: Mapping[str, Verifier] = field(default_factory=plain_verifiers)  # by kind of checkpoint
    store: OutputStore | None = None  # where output_dir is uploaded; None: output_dir is the output itself
    data_settings: DataSettings | None = None  # None: the environment's
    tracking: Tracking = field(default_factory=Tracking)
    report: Callable[[Report], None] | None = None
    report_interval: float = 10.0  # seconds
    poll_interval: float = 0.5  # seconds between looks at metrics and checkpoints
    patience: Patience | None = None  # None: a run without a new step is waited for, for ever
    stop: GracefulStop | None = None  # who answers SIGTERM; None: whoever called decides

    @property
    def world_size(self) -> int:
        return self.torchrun.nnodes * self.torchrun.nproc_per_node

    @property
    def judges(self) -> bool:
        """Whether this node is the one that verifies, reports and judges the shared output."""
        return self.torchrun.node_rank == 0

    @property
    def watches(self) -> bool:
        """Whether this node sees to checkpoints while it trains: those of the shared output, or its part of one in a store."""
        return self.judges or self.store is not None

    @property
    def owns_output(self) -> bool:
        """Whether output_dir is a directory of the caller's that this node writes for; a job's attempt has a new one each."""
        return self.job is None and self.judges

    @property
    def ledger_dir(self) -> Path:
        """The job's directory: what its attempts share."""
        return self.output_dir if self.job is None else self.output_dir.parent

    @property
    def own_data_dir(self) -> Path:
        """No other node writes there."""
        given = self.data_dir or getattr(self.parameters, "data_output_dir", None)
        shared = Path(given).expanduser().absolute() if given else self.output_dir / "data"
        return shared if given and self.torchrun.nnodes == 1 else shared / f"node-{self.torchrun.node_rank}"

    def data_cache_dir(self, given: str | None) -> Path | None:
        """Where tokenised data are kept for later attempts and other nodes; `given`: DataSettings.cache.

        By default below what they share: the directory of the job's attempts, or the library's output directory.
        """
        if given == OFF:
            return None
        if given:
            return Path(given).expanduser().absolute()
        return (self.output_dir.parent if self.job or self.store else self.output_dir) / CACHE_NAME

    @property
    def cache_dir(self) -> Path:
        """For what a backend keeps: beside the job's attempts, or the library's user's own cache directory (XDG)."""
        if self.job:
            return self.output_dir.parent / "cache"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "kubetune"

    @property
    def format(self) -> str:
        return "processed" if getattr(self.parameters, "use_processed_dataset", None) else self.dataset_format

    @property
    def unmask(self) -> bool:
        return bool(getattr(self.parameters, "unmask_messages", None))

    def asked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What is trained and how, for the record. `parameters`: the plan's own, with what the preflight filled in."""
        return {
            "algorithm": self.algorithm,
            "backend": self.backend.name,
            "model": self.model,
            "dataset": self.dataset,
            "format": self.format,
            "nodes": self.torchrun.nnodes,
            "procs_per_node": self.torchrun.nproc_per_node,
            "device": self.device,
            "parameters": {name: value for name, value in parameters.items() if value is not None},
            "further": {name: repr(value) for name, value in self.further.items()},
            "checkpoint": self.checkpoint.model_dump(exclude_none=True),
        }

    def uri_of(self, path: Path) -> str:
        """The path as the user names it; one that is not the output's (or an earlier attempt's beside it) stays a path."""
        bases = [(self.output_dir, self.output_uri)]
        if self.job is not None or self.store is not None:
            bases.append((self.output_dir.parent, self.output_uri.rpartition("/")[0]))
        for base, uri in bases:
            if path.is_relative_to(base):
                return f"{uri.rstrip('/')}/{path.relative_to(base).as_posix()}"
        return str(path)


@dataclass(frozen=True)
class RunResult:
    """What a run left behind."""

    reached_end: bool
    step: int
    total_steps: int | None
    checkpoint: Checkpoint | None  # the verified weights of the last step; None on nodes other than the first
    checkpoints: tuple[Checkpoint, ...]
    losses: tuple[float, ...]  # by step, this attempt's
    seconds: dict[str, float]  # by phase: preflight, tokenise, train, verify
    resumed_from: str | None
    output_dir: Path
    data: DataReport | None = None
    outcome: Outcome | None = None  # the attempt's record, in the words of the contract
    ledger: tuple[Entry, ...] = ()  # what this attempt did to the job's checkpoints, in order

    def __repr__(self) -> str:
        return text_of(self)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html_of(self)


class RunFailedError(TrainingError):
    """The run did not reach its end; `result` tells how far it came, `result.outcome` in the words of the contract."""

    def __init__(self, outcome: Outcome, result: RunResult) -> None:
        self.outcome, self.result = outcome, result
        super().__init__(outcome.failure or FailureClass.BACKEND_ERROR, outcome.message, log_tail=outcome.log_tail)
