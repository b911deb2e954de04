"""Who may act, as a Lease says (coordination.k8s.io/v1). Pure: what is known of the Lease and `now` in, the next step out.

No wall clock is compared: two machines' clocks differ, and they jump. A candidate takes the Lease when it has looked at one and
the same version of it for as long as the holder asked for, by its own clock that only goes forward; a holder stops acting that
long, less a margin, after it ASKED for the last renewal that was granted. So the old one has stopped before the new one starts.
The API server's resourceVersion decides between two that ask at once. After client-go's tools/leaderelection.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from kubetune.cluster import Manifest


@dataclass(frozen=True)
class Times:
    """All in seconds."""

    duration: float = 10.0
    """How long a silent holder is respected: whole seconds, for the Lease says them so."""

    margin: float = 2.5
    """How much sooner the holder stops acting: what it asked for last may still be on its way."""

    renew: float = 2.0
    """How often the holder renews."""

    look: float = 2.0
    """How often a candidate looks."""


@dataclass(frozen=True)
class Record:
    """The Lease as it was read."""

    version: str  # metadata.resourceVersion
    holder: str | None = None
    duration: float = 10.0
    manifest: Manifest | None = None


@dataclass(frozen=True)
class View:
    """What one replica knows."""

    record: Record | None = None
    since: float = 0.0
    """When this version of the record was first seen."""

    held_until: float | None = None
    """Until when this replica may act; None: it does not hold the Lease."""


class Step(Enum):
    ACQUIRE = "acquire"
    RENEW = "renew"
    WAIT = "wait"
    LOST = "lost"


def next_step(view: View, me: str, now: float) -> Step:
    """What to do now. LOST: stop acting, at once."""
    holder = view.record.holder if view.record else None
    if view.held_until is not None:
        return Step.LOST if now >= view.held_until or holder != me else Step.RENEW
    free = view.record is None or not holder or holder == me or now >= view.since + view.record.duration
    return Step.ACQUIRE if free else Step.WAIT


def pause(view: View, times: Times, now: float) -> float:
    """Seconds until the next look or renewal: a candidate wakes up on the moment at which the Lease ends."""
    if view.held_until is not None:
        return max(0.0, min(times.renew, view.held_until - now))
    if view.record is None or not view.record.holder:
        return times.look
    return max(0.05, min(times.look, view.since + view.record.duration - now))


def seen(view: View, record: Record | None, now: float) -> View:
    """After the Lease was read: its time runs anew with each new version."""
    known = view.record.version if view.record else None
    same = record is not None and record.version == known
    return replace(view, record=record, since=view.since if same else now)


def granted(record: Record, asked: float, now: float, times: Times) -> View:
    """After our write was accepted; `asked`: when it was sent."""
    return View(record, now, asked + times.duration - times.margin)


def given_up(view: View) -> View:
    return replace(view, held_until=None)


def record_of(manifest: Manifest) -> Record:
    """Of a Lease that anybody may have written."""
    spec = manifest.get("spec") or {}
    duration = spec.get("leaseDurationSeconds")
    return Record(
        version=str(manifest["metadata"].get("resourceVersion", "")),
        holder=spec.get("holderIdentity") or None,
        duration=float(duration) if duration else Times.duration,
        manifest=manifest,
    )


def claim(record: Record | None, name: str, namespace: str, me: str, moment: str, times: Times) -> Manifest:  # noqa: PLR0913, PLR0917
    """The Lease with us as its holder, on top of the version that was read; `moment` (RFC 3339, microseconds) is for people."""
    old = (record.manifest if record else None) or {"metadata": {"name": name, "namespace": namespace}}
    spec = old.get("spec") or {}
    ours = record is not None and record.holder == me
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": old["metadata"],
        "spec": {
            **spec,
            "holderIdentity": me,
            "leaseDurationSeconds": int(times.duration),
            "acquireTime": spec.get("acquireTime", moment) if ours else moment,
            "renewTime": moment,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if ours or record is None else 1),
        },
    }


def release(record: Record) -> Manifest:
    """The Lease without a holder: the next candidate need not wait."""
    old = record.manifest or {"metadata": {}}
    spec = {key: value for key, value in (old.get("spec") or {}).items() if key != "holderIdentity"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": old["metadata"], "spec": spec}
