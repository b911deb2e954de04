"""Where the job's time went, in whole seconds. Pure.

Brought up to date only when an attempt begins to run, ends or follows another: a job that merely runs needs no status write.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from kubetune.api.status import Attempt, Goodput
from kubetune.controller.decision import SUCCEEDED
from kubetune.controller.observe import Observation


def goodput(observed: Observation, attempts: tuple[Attempt, ...], now: datetime) -> Goodput | None:
    """After this reconcile, `attempts` being what the status will list; None until the first pod has run."""
    value = observed.status.goodput or first_run(observed, attempts, now)
    if value is None:
        return None
    known = {a.number: a for a in observed.status.attempts}
    for position, attempt in enumerate(attempts):
        if attempt.number not in known and position > 0:
            value = _waited(value, attempts[position - 1], attempt)
        if position > 0 and attempt.queued and (attempt.number not in known or known[attempt.number].queued is None):
            value = value.model_copy(update={"waiting": value.waiting + attempt.queued})
        if attempt.ended and not (attempt.number in known and known[attempt.number].ended):
            value = _worked(value, observed, attempt)
    return value


def first_run(observed: Observation, attempts: tuple[Attempt, ...], now: datetime) -> Goodput | None:
    """From the first sight of the job to its first running pod, or to an end before that."""
    starts = [pod.started for pod in observed.pods if pod.started]
    if starts:
        return Goodput(queued=_seconds(min(starts) - observed.created))
    return Goodput(queued=_seconds(now - observed.created)) if attempts and attempts[-1].ended else None


def _waited(value: Goodput, before: Attempt, after: Attempt) -> Goodput:
    gap = _seconds(after.started - before.ended) if before.ended else 0
    return value.model_copy(update={"waiting": value.waiting + gap})


def _worked(value: Goodput, observed: Observation, attempt: Attempt) -> Goodput:
    """What came before the last checkpoint was kept; what came after it must be computed again."""
    end = attempt.ended or attempt.started
    admitted = attempt.started + timedelta(seconds=attempt.queued or 0)
    begin = min(end, max(admitted, observed.created + timedelta(seconds=value.queued)))
    kept = end if attempt.reason == SUCCEEDED else last_save(observed, begin, end)
    return value.model_copy(update={"training": value.training + _seconds(kept - begin), "lost": value.lost + _seconds(end - kept)})


def last_save(observed: Observation, begin: datetime, end: datetime) -> datetime:
    """When the attempt's last verified full state was written, in whole seconds as its end is; its begin if there is none."""
    states = (c for c in observed.status.checkpoints if c.kind == "full-state" and c.verified)
    times = (c.time.replace(microsecond=0) for c in states if c.time)
    return max((time for time in times if begin <= time <= end), default=begin)


def _seconds(delta: timedelta) -> int:
    return max(0, int(delta.total_seconds()))
