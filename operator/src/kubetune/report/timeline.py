"""Attempts on one time axis, in which long waits are cut short. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

LONGEST_WAIT = 0.05
"""Share of the time in attempts that a wait between two may take on the axis."""


@dataclass(frozen=True)
class Wait:
    """A piece of time in which nothing ran, and how much of it the axis leaves out."""

    begin: datetime
    end: datetime
    cut: float  # seconds


@dataclass(frozen=True)
class Timeline:
    """Places moments on an axis of 0 to 1."""

    begin: datetime
    end: datetime
    waits: tuple[Wait, ...] = ()

    @property
    def seconds(self) -> float:
        """The length of the axis."""
        return max(1.0, (self.end - self.begin).total_seconds() - sum(wait.cut for wait in self.waits))

    def place(self, moment: datetime) -> float:
        """0 to 1; what lies outside is at the edge."""
        return min(1.0, max(0.0, ((moment - self.begin).total_seconds() - self._cut_before(moment)) / self.seconds))

    def _cut_before(self, moment: datetime) -> float:
        cut = 0.0
        for wait in self.waits:
            length = (wait.end - wait.begin).total_seconds()
            passed = min(max(0.0, (moment - wait.begin).total_seconds()), length)
            cut += wait.cut * passed / length if length else 0.0
        return cut


def timeline(spans: Sequence[tuple[datetime, datetime]]) -> Timeline | None:
    """`spans`: when something ran. None where nothing did."""
    if not spans:
        return None
    covered = merged(spans)
    busy = sum((end - begin).total_seconds() for begin, end in covered)
    most = max(1.0, LONGEST_WAIT * busy)
    gaps = [(before[1], after[0]) for before, after in pairwise(covered)]
    waits = tuple(Wait(begin, end, max(0.0, (end - begin).total_seconds() - most)) for begin, end in gaps)
    return Timeline(covered[0][0], covered[-1][1], tuple(wait for wait in waits if wait.cut > 0))


def merged(spans: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Without overlaps, in order."""
    joined: list[tuple[datetime, datetime]] = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined


NICE = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
"""Seconds between two marks of a time axis."""


def time_ticks(line: Timeline, count: int = 6) -> list[tuple[float, str]]:
    """Round times since the beginning with their places, about `count` of them; none within what is left out."""
    step = NICE[min(len(NICE) - 1, bisect_right(NICE, line.seconds / count))]
    total = int((line.end - line.begin).total_seconds())
    step = max(step, -(-total // 10_000))  # a job that waited for a year needs no list of all its minutes
    moments = (line.begin + timedelta(seconds=seconds) for seconds in range(0, total + 1, step))
    shown = (moment for moment in moments if not any(wait.begin < moment < wait.end for wait in line.waits))
    return [(line.place(moment), since(moment - line.begin)) for moment in shown]


def since(delta: timedelta) -> str:
    """As 45 s, 12 min, 3 h 20 or 2 d 4 h."""
    seconds = round(delta.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min" + (f" {seconds % 60:02} s" if seconds % 60 else "")
    if seconds < 86400:
        return f"{seconds // 3600} h" + (f" {seconds % 3600 // 60:02}" if seconds % 3600 // 60 else "")
    return f"{seconds // 86400} d" + (f" {seconds % 86400 // 3600} h" if seconds % 86400 // 3600 else "")
