"""The attempts of a job, or the runs of the library in one directory, out of ledger, status, record and metrics. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath

from kubetune.api.status import Attempt as StatusAttempt
from kubetune.api.status import Phase
from kubetune.report.metrics import Step, last_accounts
from kubetune.report.sources import ATTEMPT, Material
from kubetune_trainer.attempt_record import Note
from kubetune_trainer.checkpoints.ledger import Entry

SUCCEEDED, KILLED, RUNNING, SUSPENDED = "Succeeded", "Killed", "Running", "Suspended"


@dataclass(frozen=True)
class Stage:
    """What was done before the first step."""

    text: str
    begin: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return max(0.0, (self.end - self.begin).total_seconds())


@dataclass(frozen=True)
class Try:
    """One attempt. `kept`: its steps that no later attempt replayed; `logged`: all of them."""

    number: int
    began: datetime | None = None
    ended: datetime | None = None
    told_end: bool = False  # it said itself that it ended; else `ended` is its last sign of life
    verdict: str = KILLED
    message: str = ""
    resumed_from: str | None = None
    resumed_step: int | None = None
    logged: tuple[Step, ...] = ()
    kept: tuple[Step, ...] = ()
    stages: tuple[Stage, ...] = ()
    entries: tuple[Entry, ...] = ()

    @property
    def failed(self) -> bool:
        return self.verdict not in (SUCCEEDED, RUNNING, SUSPENDED)

    @property
    def first_step_time(self) -> datetime | None:
        return next((step.time for step in self.logged if step.time), None)


def tries_of(material: Material) -> list[Try]:
    """Oldest first; those of which nothing but the status tells are among them."""
    found = library_tries(material) if material.library else job_tries(material)
    return with_kept([replace(each, stages=tuple(stages_of(each, notes))) for each, notes in found])


Found = list[tuple[Try, tuple[Note, ...]]]


def job_tries(material: Material) -> Found:
    """By number: ledger, status and directories agree on those."""
    entries, statuses = by_attempt(material.ledger.entries), {each.number: each for each in material.status.attempts}
    runs = {int(name.removeprefix(ATTEMPT)): steps for name, steps in material.runs.items() if name.startswith(ATTEMPT)}
    found: Found = []
    for number in sorted({*entries, *statuses, *runs}):
        notes = tuple(note for note in material.notes if note.attempt == number)
        one = told(number, entries.get(number, []), runs.get(number, ()), notes)
        found.append((with_status(one, statuses[number], material.status.phase) if number in statuses else one, notes))
    return found


def by_attempt(entries: Iterable[Entry]) -> dict[int, list[Entry]]:
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.attempt, []).append(entry)
    return found


def library_tries(material: Material) -> Found:
    """The last run, and before it those that it went on from: each left its metrics in the directory that it was moved to."""
    pieces = segments(material.ledger.entries)
    directories = ["."]
    for piece in reversed(pieces):
        aside = next((set_aside(entry.checkpoint) for entry in piece if entry.event == "resumed"), None)
        if aside is None or len(directories) == len(pieces):
            break
        directories.append(aside)
    chosen = pieces[-len(directories) :]
    found: Found = []
    for number, (piece, directory) in enumerate(zip(chosen, reversed(directories), strict=False), 1):
        later = [other[0].time for other in pieces if other[0].time > piece[0].time]
        notes = tuple(note for note in material.notes if note.time >= piece[0].time and all(note.time < t for t in later))
        steps = material.runs.get(directory, ())
        found.append((told(number, piece, steps, notes), notes))
    return found or [(told(1, [], material.runs.get(".", ()), material.notes), material.notes)]


def segments(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The lines of each run: every one begins with `attempt`."""
    pieces: list[list[Entry]] = []
    for entry in entries:
        if entry.event == "attempt" or not pieces:
            pieces.append([])
        pieces[-1].append(entry)
    return pieces


def set_aside(checkpoint: str | None) -> str | None:
    """previous-N of a state that lies there; None: it is no earlier run's of this directory."""
    first = PurePosixPath(checkpoint or ".").parts[:1]
    return first[0] if first and first[0].startswith("previous-") else None


def told(number: int, entries: Sequence[Entry], steps: Sequence[Step], notes: Sequence[Note]) -> Try:
    """What the attempt's own files say."""
    end = next((entry for entry in reversed(entries) if entry.event == "ended"), None)
    resumed = next((entry for entry in entries if entry.event == "resumed"), None)
    times = [entry.time for entry in entries] + [note.time for note in notes] + [step.time for step in steps if step.time]
    return Try(
        number=number,
        began=min(times, default=None),
        ended=end.time if end else max(times, default=None),
        told_end=end is not None,
        verdict=(str(end.failure) if end.failure else SUCCEEDED) if end else KILLED,
        message=(end.reason if end else None) or "",
        resumed_from=resumed.checkpoint if resumed else None,
        resumed_step=resumed.step if resumed else None,
        logged=tuple(steps),
        entries=tuple(entries),
    )


def with_status(one: Try, status: StatusAttempt, phase: Phase | None) -> Try:
    """What the operator knows beside it: when the pods were asked for, how they ended, and of a live one that it lives."""
    if (
        one.entries and not one.told_end and status.reason == SUSPENDED
    ):  # the next `kubetune run` closed the books, whenever it came
        return replace(one, began=min(filter(None, (one.began, status.started))), verdict=KILLED)
    running = status.ended is None and not one.told_end and phase in (Phase.STARTING, Phase.RUNNING)
    verdict = RUNNING if running else status.reason or one.verdict
    return replace(
        one,
        began=min(filter(None, (one.began, status.started))),
        ended=max(filter(None, (one.ended, status.ended)), default=status.started),
        told_end=one.told_end or status.ended is not None,
        verdict=verdict,
        message=status.message or one.message,
        resumed_from=one.resumed_from or status.resumed_from,
    )


def with_kept(tries: Sequence[Try]) -> list[Try]:
    """A step that a later attempt did again counts there."""
    later: set[int] = set()
    done = []
    for each in reversed(tries):
        done.append(replace(each, kept=tuple(step for step in each.logged if step.step not in later)))
        later |= {step.step for step in each.logged}
    return done[::-1]


def stages_of(one: Try, notes: Sequence[Note]) -> list[Stage]:
    """Each until the next one begins, the last until the first step or the attempt's end."""
    begun = [(note.stage, note.time) for note in notes if note.stage]
    until = one.first_step_time or one.ended
    ends = [time for _, time in begun[1:]] + ([until] if until else [])
    return [Stage(plain(text), time, max(time, end)) for (text, time), end in zip(begun, ends, strict=False)]


def plain(stage: str) -> str:
    """Without the count that was true when it was looked at, as "computing SVD 13 of 14"."""
    return re.sub(r" \d+ of \d+.*", "", stage)


def steps_of(tries: Sequence[Try]) -> list[Step]:
    """Every step once."""
    return last_accounts(step for each in tries for step in each.kept)
