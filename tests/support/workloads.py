"""Kueue's Workloads in the states through which one goes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fake_cluster import at, stamp

from kubetune.cluster import Manifest, Queueing

NO_ROOM = "couldn't assign flavors to pod set master: insufficient unused quota for nvidia.com/gpu in flavor any, 1 more needed"
PREEMPTED = "Preempted to accommodate a workload (UID: 1) due to prioritization in the ClusterQueue"


def condition(kind: str, status: str, reason: str, message: str = "", since: datetime | None = None) -> Manifest:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp(since or at(0))}


def workload(*conditions: Manifest, active: bool = True, **pending: Any) -> Queueing:
    """What is read of it; `pending`: its entry among the pending ones."""
    spec = {"active": active, "queueName": "gpus"}
    document = {"metadata": {"name": "pytorchjob-teach"}, "spec": spec, "status": {"conditions": list(conditions)}}
    return Queueing(workload=document, pending=pending or None)


def pending(message: str = NO_ROOM, reason: str = "Pending", **position: Any) -> Queueing:
    return workload(condition("QuotaReserved", "False", reason, message), **position)


def admitted(since: datetime) -> Queueing:
    return workload(
        condition("QuotaReserved", "True", "QuotaReserved", since=since), condition("Admitted", "True", "Admitted", since=since)
    )


def evicted(since: datetime, reason: str = "Preempted", message: str = PREEMPTED, *, active: bool = True) -> Queueing:
    return workload(
        condition("QuotaReserved", "False", "Pending", message, since),
        condition("Admitted", "False", "NoReservation", since=since),
        condition("Evicted", "True", reason, message, since),
        active=active,
    )
