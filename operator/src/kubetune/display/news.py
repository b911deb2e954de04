"""What is worth a line of its own when a job changes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from kubetune.api.status import Attempt, JobStatus
from kubetune_trainer.contract import Checkpoint, Progress

Tone = Literal["plain", "good", "bad"]


@dataclass(frozen=True)
class Line:
    """One line for people."""

    text: str
    tone: Tone = "plain"
    minor: bool = False  # a bar has a better place for it


def news(before: JobStatus, after: JobStatus, where: Callable[[str], str], logs: Callable[[str], str]) -> Iterator[Line]:
    """In the order in which things happened. `where` turns a checkpoint's URI, `logs` a PyTorchJob's name, into a place."""
    known = {attempt.number: attempt for attempt in before.attempts}
    uris = {checkpoint.uri for checkpoint in before.checkpoints}
    for checkpoint in after.checkpoints:
        if checkpoint.uri not in uris:
            yield saved(checkpoint, where)
    for attempt in after.attempts:
        old = known.get(attempt.number)
        if old is None:
            yield Line(f"attempt {attempt.number} started; its log: {logs(attempt.py_torch_job)}")
        if attempt.resumed_from and not (old and old.resumed_from):
            yield Line(f"attempt {attempt.number} goes on from {where(attempt.resumed_from)}")
        if attempt.ended and not (old and old.ended) and (line := ended(attempt)):
            yield line


def saved(checkpoint: Checkpoint, where: Callable[[str], str]) -> Line:
    """A training state is kubetune's own affair: its place matters only where something is wrong with it."""
    minor = checkpoint.kind == "full-state"
    kind = "training state" if minor else "checkpoint"
    place = where(checkpoint.uri)
    if not checkpoint.verified:
        return Line(f"{kind} of step {checkpoint.step} could not be verified and is not used: {place}", "bad")
    at = "" if minor else f": {place}"
    return Line(f"{kind} of step {checkpoint.step} verified ({size(checkpoint.bytes)}){at}", "good", minor)


def ended(attempt: Attempt) -> Line | None:
    """A success is told by the summary."""
    if attempt.reason in ("Succeeded", "Suspended"):
        return None
    at = f" at step {attempt.last_step}" if attempt.last_step else ""
    return Line(f"attempt {attempt.number} failed{at} ({attempt.reason}): {attempt.message or 'no message'}", "bad")


def size(count: int) -> str:
    """Bytes for people, in powers of 1000 as disks are sold."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):  # noqa: B007 - used after the loop
        if value < 1000:
            break
        value /= 1000
    else:
        unit = "TB"
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def step_line(progress: Progress) -> str:
    """Where the training stands, in one line."""
    return progress.stage or ", ".join([f"step {steps(progress)}", *figures(progress)])


def steps(progress: Progress) -> str:
    """As 3/18, or 3 where the end is not known yet."""
    return f"{progress.step}/{progress.total_steps}" if progress.total_steps else str(progress.step)


def figures(progress: Progress, eta_seconds: float | None = None) -> list[str]:
    """Loss, pace and time left, those that are known. `eta_seconds` stands in for the reported one."""
    eta = progress.eta_seconds if eta_seconds is None else eta_seconds
    pace = progress.tokens_per_second, progress.samples_per_second
    said = [f"loss {progress.loss:.4g}"] if progress.loss is not None else []
    if pace[0] is not None:
        said.append(f"{pace[0]:,.0f} tokens/s")
    elif pace[1] is not None:
        said.append(f"{pace[1]:.3g} samples/s")
    return [*said, f"ETA {clock(eta)}"] if eta is not None else said


def clock(seconds: float) -> str:
    """As 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
