"""The reconcile loop, stepped by hand against a cluster in memory."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from fake_cluster import FakeCluster, at, job
from observations import SETTINGS

from kubetune.controller.reconcile import Outcome, reconcile
from kubetune.controller.settings import ControllerSettings


def once(
    cluster: FakeCluster, now: datetime, kind: str | None = None, name: str | None = None, settings: ControllerSettings = SETTINGS
) -> Outcome:
    cluster.now = now
    subject = cluster.job
    return asyncio.run(reconcile(cluster, kind or subject["kind"], "default", name or subject["metadata"]["name"], now, settings))


def settle(cluster: FakeCluster, now: datetime, settings: ControllerSettings = SETTINGS) -> Outcome:
    """Until there is nothing more to do at once."""
    for _ in range(10):
        outcome = once(cluster, now, settings=settings)
        if outcome.requeue_after != 0:
            return outcome
    raise AssertionError(f"it never rests: {cluster.status}")


def started(*, nodes: int = 1, kind: str = "SFTJob", **spec: Any) -> tuple[FakeCluster, list[str]]:
    """A job whose first attempt runs since second 5."""
    cluster = FakeCluster(job(kind, nodes=nodes, **spec))
    once(cluster, at(0))
    cluster.now = at(5)
    pods = cluster.run_pods(1, nodes)
    once(cluster, at(6))
    assert cluster.status["phase"] == "Running"
    return cluster, pods


def reasons(cluster: FakeCluster) -> list[str | None]:
    """Of the attempts' ends."""
    return [a.get("reason") for a in cluster.status["attempts"]]
