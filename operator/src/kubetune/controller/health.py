"""Is the operator alive, is it ready? Pure verdicts on what the process knows of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds after which silence is a fault."""

    loop: float = 30.0
    """The event loop did not get to its heartbeat."""

    work: float = 600.0
    """One reconcile takes so long, or none was begun while jobs wait: five tries of 60 s end sooner."""

    contact: float = 120.0
    """No request to the API server had a good answer; one is made at least every 15 s."""

    watch: float = 60.0
    """The watch is behind a list."""


@dataclass(frozen=True)
class Pulse:
    """What is known, in seconds of one clock that only goes forward."""

    loop: float
    """Last heartbeat of the event loop."""

    contact: float
    """Last good answer of the API server (the start counts as one)."""

    work: float | None = None
    """Since when the work queue owes a result: its oldest reconcile's start, or its last one's if jobs wait. None: it owes none."""

    blind: float | None = None
    """Since when the watch owes an event that a list has shown, and a second list confirmed."""

    warm: bool = False
    """All jobs were listed once."""

    watched: bool = True
    """The watches have begun: from then on a new job is noticed at once, and kopf outlives an API server that is away."""


def faults(pulse: Pulse, now: float, limits: Limits) -> Iterator[str]:
    """Why the process should be started anew; nothing if it is well."""
    if now - pulse.loop > limits.loop:
        yield f"the event loop is stuck for {now - pulse.loop:.0f} s"
    if now - pulse.contact > limits.contact:
        yield f"no answer of the API server for {now - pulse.contact:.0f} s"
    if pulse.work is not None and now - pulse.work > limits.work:
        yield f"the work queue is stuck for {now - pulse.work:.0f} s"
    if pulse.blind is not None and now - pulse.blind > limits.watch:
        yield f"the watch has been blind for {now - pulse.blind:.0f} s"


def unready(pulse: Pulse, now: float, limits: Limits) -> Iterator[str]:
    """Why it cannot act, nor take over, yet."""
    if not pulse.warm:
        yield "the jobs were not listed yet"
    if not pulse.watched:
        yield "the watches have not begun yet"
    yield from faults(pulse, now, limits)


class Watching:
    """Compares what lists show with what the watch tells: a quiet watch is no dead one, but one that stays behind a list is."""

    def __init__(self) -> None:
        self._owed: dict[str, tuple[str, float]] = {}  # UID: (version, since)
        self._confirmed: float | None = None

    @property
    def blind(self) -> float | None:
        """Since when, if a second list showed that the watch still owes an event."""
        return self._confirmed

    @property
    def owes(self) -> bool:
        return bool(self._owed)

    def told(self, uid: str) -> None:
        """The watch told something of that object."""
        self._owed.pop(uid, None)
        self._confirmed = None

    def listed(self, behind: dict[str, str], now: float) -> None:
        """`behind`: versions by UID that a complete list shows and the watch has not told."""
        still = [since for uid, (_, since) in self._owed.items() if uid in behind]
        self._confirmed = min(still, default=None)
        self._owed = {uid: self._owed.get(uid, (version, now)) for uid, version in behind.items()}
