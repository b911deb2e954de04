"""The judge on Kubernetes events: each transition of a status tells itself once. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from e2e.chaos.history import ENDED_PHASES, LEASE, History, Record
from e2e.chaos.trail import Trail
from kubetune.cluster import Manifest

ATTEMPT = re.compile(r"attempt (\d+)")
AFTER_KILL = 10.0
"""Seconds around a status write within which its writer's end may cost an event whose five tries the faults had eaten up."""

RENEWED = 4.5
"""A leader renews every 2 s. It stops writing 7.5 s after it ASKED for the last renewal that was granted, which may have taken 3 s:
after so long a silence in etcd it may have come to that."""


def key(event: Record) -> tuple[str, str]:
    """What it tells: its reason, and of which attempt."""
    found = ATTEMPT.match(text(event))
    return event.object["reason"], found[1] if found else ""


def text(event: Record) -> str:
    return str(event.object.get("message") or event.object.get("note") or "")


def told(trail: Trail) -> Counter[tuple[str, str]]:
    return Counter(key(event) for event in trail.events)


def doubled_events(_: History, trail: Trail) -> Iterator[str]:
    """Suspended may come as often as there were suspended attempts, or once while no attempt lived; all else once."""
    suspensions = sum(
        1 for a, b in zip(trail.statuses, trail.statuses[1:], strict=False)
        if b.status.get("phase") == "Suspended" != a.status.get("phase")
    )  # fmt: skip
    for (reason, attempt), count in told(trail).items():
        if count > (max(1, suspensions) if reason == "Suspended" else 1):
            yield f"{reason} {attempt} was told {count} times"
    series = [e for e in trail.events if (e.object.get("count") or 1) > 1 or e.object.get("series")]
    yield from (f"{key(event)} was counted up" for event in series)


def lost_events(history: History, trail: Trail) -> Iterator[str]:
    """Except where the writer of the status was killed, or the API server was, before it could tell."""
    for (reason, attempt), time in missing(trail).items():
        if not excused(history, time):
            yield f"{reason} {attempt} of {time:.1f} s was never told"


def excused_events(history: History, trail: Trail) -> int:
    """How many were lost with their writer."""
    return sum(1 for time in missing(trail).values() if excused(history, time))


def missing(trail: Trail) -> dict[tuple[str, str], float]:
    """When the status said what no event did."""
    known = told(trail)
    return {what: time for what, time in due(trail).items() if not known[what]}


def due(trail: Trail) -> dict[tuple[str, str], float]:
    """What there is to tell, and when the status first said it."""
    wanted: dict[tuple[str, str], float] = {}
    for record in trail.statuses:
        if record.deleted or record.deleting:
            break
        previous = None
        for attempt in record.status.get("attempts") or []:
            number = str(attempt["number"])
            if previous:
                wanted.setdefault((restart_after(previous), number), record.time)
            previous = attempt
            if attempt.get("reason") not in (None, "Succeeded", "Suspended"):
                wanted.setdefault(("AttemptFailed", number), record.time)
        if record.status.get("phase") in ENDED_PHASES:
            wanted.setdefault((record.status["phase"], ""), record.time)
    return wanted


def restart_after(attempt: Manifest) -> str:
    """The reason under which the next one's start is told; the first one's is not."""
    return "Resumed" if attempt.get("reason") == "Suspended" else "Restarted"


def excused(history: History, time: float) -> bool:
    """Whether the writer was ended, frozen or cut off, or lost its Lease, about then."""
    ends = history.did("SIGKILL", "SIGTERM", "api server down", "partition", "freeze", "ended by itself")
    if any(time - 1 <= end.time <= time + AFTER_KILL for end in ends):
        return True
    renewals = [(r.time, r.object["spec"].get("holderIdentity")) for r in history.of(LEASE)]
    silences = [(a, b) for (a, x), (b, y) in pairwise(renewals) if b - a > RENEWED or x != y]
    return any(begin <= time + AFTER_KILL and time <= end for begin, end in silences)
