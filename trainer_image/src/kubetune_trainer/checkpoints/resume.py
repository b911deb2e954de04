"""Which full state of an earlier attempt to go on from: the best one that is whole and fits this run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetune_trainer.checkpoints.manifest import Manifest, check_manifest, read_manifest


@dataclass(frozen=True)
class Fit:
    """What a full state must agree with."""

    algorithm: str
    world_size: int
    spec_hash: str | None = None  # None: not a resource's run
    total_steps: int | None = None


@dataclass(frozen=True)
class Choice:
    """The state chosen, if any, and why each better one was not."""

    path: Path | None = None
    manifest: Manifest | None = None
    rejected: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """Optimizer steps that are done already."""
        return self.manifest.step if self.manifest else 0


def choose(candidates: Sequence[str], fit: Fit) -> Choice:
    """The first candidate whose files are all as its manifest says and that fits; every node comes to the same choice."""
    rejected: list[str] = []
    for candidate in candidates:
        path = Path(candidate)
        problem = _problem(path, fit)
        if problem is None:
            return Choice(path, read_manifest(path), tuple(rejected))
        rejected.append(f"{candidate}: {problem}")
    return Choice(rejected=tuple(rejected))


def _problem(path: Path, fit: Fit) -> str | None:
    """Cheap checks first: hashing reads the whole state."""
    try:
        reason = unfit(read_manifest(path), fit)
    except (OSError, ValueError):
        return check_manifest(path)[0]
    if reason is not None:
        return reason
    problems = check_manifest(path)
    return "; ".join(problems[:3]) if problems else None


def unfit(manifest: Manifest, fit: Fit) -> str | None:
    """Why that state cannot be gone on with, by its manifest alone."""
    if manifest.kind != "full-state":
        return "is no full state: it holds weights without optimizer and schedule"
    if manifest.algorithm != fit.algorithm:
        return f"is of {manifest.algorithm}, this run is {fit.algorithm}"
    if fit.spec_hash and manifest.job and manifest.job.spec_hash != fit.spec_hash:
        return "was written under another training spec"
    if manifest.world_size != fit.world_size:
        return f"was written by {manifest.world_size} ranks, this run has {fit.world_size}: its optimizer is kept by rank"
    if fit.total_steps is not None and manifest.step >= fit.total_steps:
        return f"is at step {manifest.step} of {fit.total_steps}: nothing is left to train"
    return None
