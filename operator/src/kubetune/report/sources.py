"""Reads what a job left on disk, each file as it is; what follows from it is `story`'s. The only I/O of the report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tenacity

from kubetune.api import parse_status
from kubetune.api.status import JobStatus
from kubetune.cluster import Manifest
from kubetune.report.metrics import Step, read_steps
from kubetune_trainer.attempt_record import RECORD_NAME, Note
from kubetune_trainer.checkpoints.last_good import POINTER_NAME, LastGood, read_pointer
from kubetune_trainer.checkpoints.ledger import LEDGER_NAME, Account, read_ledger
from kubetune_trainer.checkpoints.manifest import Manifest as Seal
from kubetune_trainer.checkpoints.manifest import read_manifest
from kubetune_trainer.contract import MANIFEST_NAME, Outcome

LIBRARY_RUN = "kubetune-run.json"
METRICS = ("training_metrics_0.jsonl", "training_params_and_metrics_global0.jsonl")
"""Of the node that judges, by backend; both names are the backends' own."""

DATA_REPORT = "data-report.json"
ATTEMPT = "attempt-"


@dataclass(frozen=True)
class Material:
    """What there is; a file that is absent is an empty value. `runs`: the steps by directory, relative to `directory`."""

    directory: Path | None = None
    job: Manifest | None = None
    status: JobStatus = field(default_factory=JobStatus)
    ledger: Account = field(default_factory=Account)
    notes: tuple[Note, ...] = ()
    runs: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    seals: tuple[Seal, ...] = ()
    pointer: LastGood | None = None
    data: dict[str, Any] | None = None
    library: bool = False  # one directory for all runs, which are told apart by time
    outcome: Outcome | None = None  # of the library's last run


LOOKS = 5

meanwhile_gone = tenacity.retry(
    retry=tenacity.retry_if_exception_type(FileNotFoundError), stop=tenacity.stop_after_attempt(LOOKS), reraise=True
)
"""A run that goes on removes checkpoints between listing and reading: then all is read again, so that it fits together."""


@meanwhile_gone
def read_material(directory: Path | None, job: Manifest | None = None) -> Material:
    """Of a directory, a job's resource, or both. Raises OSError: something is there and cannot be read."""
    status = parse_status((job or {}).get("status", {}))
    if directory is None:
        return Material(job=job, status=status)
    notes = read_notes(directory)
    runs = dict(runs_below(directory, notes))
    return Material(
        directory=directory,
        job=job,
        status=status,
        ledger=read_ledger(directory),
        notes=notes,
        runs=runs,
        seals=tuple(seals_below(directory)),
        pointer=read_pointer(directory),
        data=newest_data_report(directory),
        library="." in runs or (directory / LIBRARY_RUN).is_file(),
        outcome=library_outcome(directory),
    )


def utc_offset(notes: Iterable[Note], run: str) -> int | None:
    """Of the clock by which that attempt's metrics were written, else of any; None: nobody told."""
    told = {f"{ATTEMPT}{note.attempt}": note.utc_offset for note in notes if note.utc_offset is not None}
    return told.get(run, next(iter(told.values()), None))


def holds_a_run(directory: Path) -> bool:
    """Whether anything of a run is there."""
    names = (LEDGER_NAME, POINTER_NAME, RECORD_NAME, LIBRARY_RUN, *METRICS)
    return any((directory / name).is_file() for name in names) or any(directory.glob(f"{ATTEMPT}*/"))


def read_notes(directory: Path) -> tuple[Note, ...]:
    """The attempts' record; torn lines are passed over."""
    notes = []
    for line in text_of(directory / RECORD_NAME).splitlines():
        with contextlib.suppress(ValueError):
            notes.append(Note.model_validate_json(line))
    return tuple(notes)


def runs_below(directory: Path, notes: Sequence[Note]) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """The steps of each attempt of a job, or of the library's run and of those that were set aside for it."""
    for place in (directory, *sorted(directory.glob(f"{ATTEMPT}*/")), *sorted(directory.glob("previous-*/"))):
        for name in METRICS:
            if (place / name).is_file():
                run = place.relative_to(directory).as_posix()
                yield run, tuple(read_steps(text_of(place / name), utc_offset(notes, run)))


def seals_below(directory: Path) -> Iterator[Seal]:
    """The manifests of the checkpoints that are there, oldest first."""
    found = []
    for depth in ("*/*", "*/*/*"):
        for path in directory.glob(f"{depth}/{MANIFEST_NAME}"):
            with contextlib.suppress(OSError, ValueError):
                found.append(read_manifest(path.parent))
    yield from sorted(found, key=lambda seal: seal.time)


def newest_data_report(directory: Path) -> dict[str, Any] | None:
    """Of the last attempt that came so far: every one has its own, of the same data."""
    places = [*directory.glob(f"{ATTEMPT}*/data/**/{DATA_REPORT}"), *directory.glob(f"data/**/{DATA_REPORT}")]
    for place in sorted(places, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(ValueError):
            values = json.loads(place.read_text())
            if isinstance(values, dict):
                return values
    return None


def library_outcome(directory: Path) -> Outcome | None:
    """Of the library's last run; None where it runs, was killed, or is none of the library's."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return Outcome.model_validate(json.loads(text_of(directory / LIBRARY_RUN))["outcome"])
    return None


def text_of(path: Path) -> str:
    """Empty where there is no such file."""
    return path.read_text(errors="replace") if path.is_file() else ""
