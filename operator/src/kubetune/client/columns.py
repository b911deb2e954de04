"""Jobs as rows of a table: the API server's printer columns, computed from the resource. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from kubetune.api import JobStatus, parse_status
from kubetune.cluster import Manifest
from kubetune.controller.pods import timestamp
from kubetune.report import curve, sketch
from kubetune_trainer.contract import Progress

SKETCH_WIDTH = 16


@dataclass(frozen=True)
class Row:
    """What a column's text is made of."""

    job: Manifest
    status: JobStatus
    now: datetime

    @property
    def progress(self) -> Progress:
        return self.status.progress or Progress(step=0)


@dataclass(frozen=True)
class Column:
    """`wide`: only where there is room for it."""

    title: str
    text: Callable[[Row], str]
    right: bool = False
    wide: bool = False


def row_of(job: Manifest, now: datetime | None = None) -> Row:
    return Row(job, parse_status(job.get("status") or {}), now or datetime.now(UTC))


def phase_of(row: Row) -> str:
    return row.status.phase.value if row.status.phase else "Pending"


def percent_of(row: Row) -> str:
    progress = row.progress
    if progress.stage and not row.status.completion_time:
        return progress.stage
    if not progress.total_steps:
        return f"step {progress.step}" if progress.step else ""
    return f"{100 * progress.step // progress.total_steps}% ({progress.step}/{progress.total_steps})"


def eta_of(row: Row) -> str:
    """Only of what is under way."""
    eta = row.progress.eta_seconds
    return short_time(eta) if eta is not None and phase_of(row) == "Running" else ""


def age_of(row: Row) -> str:
    born = timestamp(row.job["metadata"].get("creationTimestamp"))
    return short_time((row.now - born).total_seconds()) if born else ""


def reason_of(row: Row) -> str:
    running = next((c for c in row.status.conditions if c.type == "Running"), None)
    return running.reason if running else ""


def losses_of(row: Row) -> Sequence[float]:
    """Of the last attempt, a few means in order; none before its second step."""
    return row.progress.losses or ()


def sketch_of(row: Row) -> str:
    return sketch(losses_of(row), SKETCH_WIDTH) if len(losses_of(row)) > 1 else ""


def curve_of(row: Row) -> str:
    """With its ends in figures; and of which attempt it is, where others went before."""
    last = row.status.attempts[-1].number if row.status.attempts else 1
    return curve(losses_of(row)) + (f" (attempt {last})" if last > 1 else "") if len(losses_of(row)) > 1 else ""


def checkpoint_of(row: Row) -> str:
    return row.status.final_checkpoint.uri if row.status.final_checkpoint else ""


def number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def short_time(seconds: float) -> str:
    """As kubectl writes ages: the largest unit, and the next one where there are few of the first."""
    left = max(0, int(seconds))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for (unit, length), (smaller, part) in pairwise(units):
        if left >= length:
            count, rest = divmod(left, length)
            return f"{count}{unit}{rest // part}{smaller}" if count < 10 and rest >= part else f"{count}{unit}"
    return f"{left}s"


NAMESPACE = Column("NAMESPACE", lambda row: str(row.job["metadata"].get("namespace", "default")))
COLUMNS = (
    Column("NAME", lambda row: str(row.job["metadata"]["name"])),
    Column("KIND", lambda row: str(row.job["kind"])),
    Column("PHASE", phase_of),
    Column("PROGRESS", percent_of),
    Column("LOSS", lambda row: number(row.progress.loss, ".4g"), right=True),
    Column("ETA", eta_of, right=True),
    Column("NODES", lambda row: str(row.job["spec"].get("nodes", 1)), right=True),
    Column("RESTARTS", lambda row: str(row.status.restarts), right=True),
    Column("AGE", age_of, right=True),
    Column("REASON", reason_of, wide=True),
    Column("CURVE", sketch_of, wide=True),
    Column("TOKENS/S", lambda row: number(row.progress.tokens_per_second, ",.0f"), right=True, wide=True),
    Column("CHECKPOINT", checkpoint_of, wide=True),
)


def columns(*, wide: bool = False, namespaces: bool = False) -> tuple[Column, ...]:
    """In order."""
    return (*((NAMESPACE,) if namespaces else ()), *(each for each in COLUMNS if wide or not each.wide))
