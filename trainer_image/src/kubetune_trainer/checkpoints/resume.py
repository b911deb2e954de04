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
class Rejected:
    """A state that is not gone on from. `damaged`: it is not what its manifest says; `resized`: only its world size differs."""

    path: Path | str  # a URI in a store
    problem: str
    damaged: bool = False
    resized: Manifest | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True)
class Choice:
    """The state chosen, if any, and why each better one was not."""

    path: Path | None = None
    manifest: Manifest | None = None
    rejected: tuple[Rejected, ...] = ()

    @property
    def step(self) -> int:
        """Optimizer steps that are done already."""
        return self.manifest.step if self.manifest else 0

    @property
    def resized(self) -> Rejected | None:
        """What would have been gone on from at another world size; None where a state was chosen."""
        return next((r for r in self.rejected if r.resized), None) if self.path is None else None


def choose(candidates: Sequence[str], fit: Fit) -> Choice:
    """The first candidate whose files are all as its manifest says and that fits; every node comes to the same choice."""
    rejected: list[Rejected] = []
    for candidate in candidates:
        path = Path(candidate)
        problem = examine(path, fit)
        if problem is None:
            return Choice(path, read_manifest(path), tuple(rejected))
        rejected.append(problem)
    return Choice(rejected=tuple(rejected))


def examine(path: Path, fit: Fit) -> Rejected | None:
    """Why not; cheap checks first: hashing reads the whole state."""
    try:
        manifest = read_manifest(path)
    except (OSError, ValueError):
        return Rejected(path, check_manifest(path)[0], damaged=path.is_dir())
    reason = unfit(manifest, fit)
    if reason is not None:
        return Rejected(path, reason)
    problems = check_manifest(path)
    if problems:
        return Rejected(path, "; ".join(problems[:3]), damaged=True)
    return other_size(path, manifest, fit)


def other_size(path: Path | str, manifest: Manifest, fit: Fit) -> Rejected | None:
    """The last thing to look at: whoever is told of it may go on from that state's weights."""
    if manifest.world_size == fit.world_size:
        return None
    problem = f"was written by {manifest.world_size} ranks, this run has {fit.world_size}: its optimizer is kept by rank"
    return Rejected(path, problem, resized=manifest)


def unfit(manifest: Manifest, fit: Fit) -> str | None:
    """Why that state cannot be gone on with, by its manifest alone."""
    if manifest.kind != "full-state":
        return "is no full state: it holds weights without optimizer and schedule"
    if manifest.algorithm != fit.algorithm:
        return f"is of {manifest.algorithm}, this run is {fit.algorithm}"
    if fit.spec_hash and manifest.job and manifest.job.spec_hash != fit.spec_hash:
        return "was written under another training spec"
    if fit.total_steps is not None and manifest.step >= fit.total_steps:
        return f"is at step {manifest.step} of {fit.total_steps}: nothing is left to train"
    return None
