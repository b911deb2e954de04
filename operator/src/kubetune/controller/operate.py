"""The running operator, but for kopf: a work queue that reconciles, and a sweep that misses nothing."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from kubetune.cluster import Cluster, ClusterError, Manifest
from kubetune.controller.kubernetes_api import KubernetesApi, connect
from kubetune.controller.kubernetes_cluster import PLURALS, KubernetesCluster
from kubetune.controller.reconcile import reconcile
from kubetune.controller.settings import ControllerSettings
from kubetune.controller.workqueue import Key, WorkQueue
from kubetune.render import RenderSettings

logger = logging.getLogger(__name__)

IMAGE_ENV = "KUBETUNE_TRAINER_IMAGE"


@dataclass(frozen=True)
class OperatorSettings:
    """What an installation chooses for the process itself."""

    controller: ControllerSettings

    namespaces: tuple[str, ...] = ()
    """Where it works; empty: everywhere."""

    workers: int = 8
    """Jobs that are reconciled at the same time."""

    sweep_seconds: float = 300.0
    """How often every job is looked at though nothing was heard of it: watches have been seen to go blind."""


def settings_from_environment() -> OperatorSettings:
    """Raises ValueError if no trainer image is named."""
    image = os.environ.get(IMAGE_ENV)
    if not image:
        raise ValueError(f"{IMAGE_ENV} is not set: name the trainer image that jobs without spec.image run")
    return OperatorSettings(ControllerSettings(render=RenderSettings(image=image)))


class JobCluster(Cluster, Protocol):
    """A cluster that can also list its jobs."""

    async def list_jobs(self, kind: str, namespace: str | None) -> list[Manifest]:
        """All jobs of a kind, in one namespace or in all."""


def connect_cluster(workers: int) -> KubernetesCluster:
    """As many threads and connections as jobs are worked on at a time."""
    return KubernetesCluster(KubernetesApi(connect(connections=workers + 1)), ThreadPoolExecutor(workers + 1, "kubernetes"))


class Operator:
    """Reconciles whatever is put into its queue."""

    def __init__(self, cluster: JobCluster, settings: OperatorSettings) -> None:
        self._cluster = cluster
        self._settings = settings
        self.queue = WorkQueue(self._reconcile, error_seconds=settings.controller.error_seconds)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.run(self._settings.workers))
            group.create_task(self._sweep_for_ever())

    async def _reconcile(self, key: Key) -> float | None:
        outcome = await reconcile(self._cluster, *key, datetime.now(UTC), self._settings.controller)
        if outcome.error:
            logger.warning("%s %s/%s: %s", *key, outcome.error)
        return outcome.requeue_after

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            await sweep(self._cluster, self.queue, self._settings.namespaces)


async def sweep(cluster: JobCluster, queue: WorkQueue, namespaces: Sequence[str]) -> None:
    """Puts every job into the queue. What cannot be listed now is listed next time."""
    for kind in PLURALS:
        for namespace in namespaces or (None,):
            try:
                jobs = await cluster.list_jobs(kind, namespace)
            except ClusterError as error:
                logger.warning("%s could not be listed: %s", kind, error)
                continue
            for job in jobs:
                queue.add(Key(kind, job["metadata"]["namespace"], job["metadata"]["name"]))
