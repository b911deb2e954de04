"""What an attempt did when, as far as its pods and its record tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubetune.api.status import Attempt
from kubetune.controller.decision import SUCCEEDED
from kubetune.controller.observe import Observation

QUEUE, SCHEDULE, START, TRAIN, VERIFY = "queue", "schedule", "start", "train", "verify"
"""Of an attempt, in this order; what each is: docs/observability.md."""


@dataclass(frozen=True)
class Stage:
    """A part of an attempt."""

    name: str
    start: datetime
    end: datetime


Mark = tuple[str, datetime | None]
"""A stage, and when it was over; None: it was not."""


def stages(observed: Observation, attempt: Attempt, end: datetime) -> Iterator[Stage]:
    """In order and without overlap, none longer than the attempt; clocks of nodes may differ. Stages of no length are left out.

    What is left at the end is the time that it took to notice the end.
    """
    cursor = attempt.started
    for name, over in marks(observed, attempt, end):
        until = end if over is None else min(end, max(cursor, over))
        if until > cursor:
            yield Stage(name, cursor, until)
        cursor = until


def marks(observed: Observation, attempt: Attempt, end: datetime) -> Sequence[Mark]:
    """`observed`: when the attempt's end was noticed, its pods' last words included."""
    found: list[Mark] = []
    if attempt.queued is not None:
        found.append((QUEUE, attempt.started + timedelta(seconds=attempt.queued)))
    scheduled, running = all_scheduled(observed), all_ran(observed, attempt)
    if scheduled or not running:
        found.append((SCHEDULE, scheduled))
    if scheduled or running:
        found.append((START, running))
    if running:
        found += trained(observed, attempt, end)
    return found


def trained(observed: Observation, attempt: Attempt, end: datetime) -> Sequence[Mark]:
    progress, ends = observed.status.progress, [pod.finished for pod in observed.pods if pod.finished]
    finished = observed.master.finished if observed.master and observed.master.finished else max(ends, default=None)
    last = progress.updated_time if progress else None
    if attempt.reason == SUCCEEDED and last and attempt.started <= last <= (finished or end):
        return (TRAIN, last), (VERIFY, finished)
    return ((TRAIN, finished),)


def all_scheduled(observed: Observation) -> datetime | None:
    """None while a pod has no node."""
    times = [pod.scheduled for pod in observed.pods]
    known = [time for time in times if time]
    return max(known) if known and len(known) == len(times) else None


def all_ran(observed: Observation, attempt: Attempt) -> datetime | None:
    """When the last pod began; of an attempt whose pods are gone already, when the status said that it runs."""
    times = [pod.started for pod in observed.pods]
    known = [time for time in times if time]
    if known and len(known) == len(times):
        return max(known)
    said = observed.condition("Running")
    told = said.last_transition_time if said and said.status == "True" else None
    return told if told and not known and told >= attempt.started else None
