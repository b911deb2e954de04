"""Observations as the real loop makes them, for tests of what is decided by them."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_cluster import FakeCluster, at, job

from kubetune.controller.observe import Observation, observe
from kubetune.controller.reconcile import reconcile
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings

SETTINGS = ControllerSettings(render=RenderSettings(image="trainer:1"), quiet_seconds=0.0)


def first_attempt(**spec: Any) -> Observation:
    """A job whose first attempt was created at second 0 and has no pods yet."""
    cluster = FakeCluster(job(**spec))
    asyncio.run(reconcile(cluster, "SFTJob", "default", "teach", at(0), SETTINGS))
    return observe(cluster.job, list(cluster.children.values()))


def unseen(**spec: Any) -> Observation:
    """A job that nobody has looked at."""
    return observe(job(**spec))
