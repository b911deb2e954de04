"""Where the time went, by phase. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from kubetune.api.status import Goodput
from kubetune.report.attempts import RUNNING, SUCCEEDED, Try

BEFORE, KEPT, LOST, AFTER, BETWEEN = "before", "kept", "lost", "after", "between"

NAMES = {
    KEPT: "training that was kept",
    LOST: "training that was lost and done again",
    BEFORE: "before the first step of an attempt",
    AFTER: "after the last step: verifying, and noticing an end",
    BETWEEN: "between attempts",
}


@dataclass(frozen=True)
class Spent:
    """Seconds by phase, from the first attempt's beginning to the last one's end; `status`: the resource's own account."""

    seconds: dict[str, float]
    saving: float = 0.0  # of the training: held up while full states were written
    status: Goodput | None = None

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def share(self, phase: str) -> float:
        return self.seconds.get(phase, 0.0) / self.total if self.total else 0.0


def spent(tries: Sequence[Try], status: Goodput | None) -> Spent | None:
    """None where no attempt's time is known."""
    known = [each for each in tries if each.began and each.ended]
    if not known:
        return None
    seconds = dict.fromkeys(NAMES, 0.0)
    for each in known:
        for phase, length in parts(each).items():
            seconds[phase] += length
    for before, after in pairwise(known):
        seconds[BETWEEN] += between(before.ended, after.began)
    saves = [entry.save_seconds or 0.0 for each in known for entry in each.entries if entry.event == "saved"]
    return Spent(seconds, sum(saves), status)


def parts(one: Try) -> dict[str, float]:
    """One attempt's time. Of what it trained, that is lost which a later attempt did again, or nobody will unless one follows."""
    times = [step.time for step in one.logged if step.time]
    if not times or one.began is None or one.ended is None:
        return {BEFORE: between(one.began, one.ended)}
    first, last = times[0], times[-1]
    kept = [step.time for step in one.kept if step.time]
    whole = one.verdict in (SUCCEEDED, RUNNING) or len(kept) == len(times)
    until = last if whole else (kept[-1] if kept else first)
    return {
        BEFORE: between(one.began, first),
        KEPT: between(first, until),
        LOST: between(until, last),
        AFTER: between(last, one.ended),
    }


def between(begin: datetime | None, end: datetime | None) -> float:
    return max(0.0, (end - begin).total_seconds()) if begin and end else 0.0
