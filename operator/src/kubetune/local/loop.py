"""Drives the controller's own reconcile against the embedded cluster, with the real clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from kubetune.api.status import Phase
from kubetune.cluster import ClusterError, Manifest
from kubetune.controller.reconcile import reconcile
from kubetune.controller.settings import ControllerSettings
from kubetune.local.cluster import LocalCluster, utc_now
from kubetune.local.takeup import with_suspend

LOOK_SECONDS = 0.2
"""How often the processes are looked at: what watch events are to the operator."""


@dataclass(frozen=True)
class JobKey:
    """Which job."""

    kind: str
    namespace: str
    name: str


class JobLoop:
    """One job of the embedded cluster, reconciled whenever something changed or a requeue is due."""

    def __init__(
        self,
        cluster: LocalCluster,
        key: JobKey,
        settings: ControllerSettings,
        on_change: Callable[[Manifest], None] = lambda _: None,
    ) -> None:
        """The job is stored already, and locked for this process. `on_change` is told it whenever it was written."""
        self._cluster, self._key, self._settings, self._on_change = cluster, key, settings, on_change
        self._told: str | None = None
        if (job := cluster.store.get(*self._where)) is not None:
            cluster.adopt(job["metadata"]["uid"])

    async def run(self, stop: asyncio.Event) -> Manifest:
        """Until the job is finished, or `stop` is set; returns it. Raises ClusterError if an attempt cannot be started here."""
        job = await self._until(lambda job: Phase(job["status"]["phase"]).finished, stop)
        if job["status"]["phase"] == Phase.SUCCEEDED:
            await self._let_pods_end(job)
        return job

    async def _let_pods_end(self, job: Manifest) -> None:
        """The master says that it is done a moment before the other nodes are: they are not to be killed for it."""
        until = time.monotonic() + self._settings.straggler_seconds
        namespace, uid = self._key.namespace, job["metadata"]["uid"]
        while time.monotonic() < until:
            self._cluster.refresh()
            pods = await self._cluster.pods(namespace, uid)
            if all(pod.get("status", {}).get("phase") in ENDED for pod in pods):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def suspend(self) -> Manifest:
        """Ends the live attempt the way runPolicy.suspend does: the pods' last words are read, no restart is counted."""
        self._set_suspend(True)
        job = await self._until(lambda job: job["status"]["phase"] in (Phase.SUSPENDED, *FINISHED), asyncio.Event())
        self._set_suspend(False)
        return job

    async def take_over(self) -> None:
        """Closes the books on an attempt whose processes ended with an earlier kubetune, so that a new one can follow."""
        job = self._cluster.store.get(*self._where)
        if job is not None:
            await self._cluster.delete_children(job)
        await self.suspend()

    @property
    def _where(self) -> tuple[str, str, str]:
        return self._key.kind, self._key.namespace, self._key.name

    def _set_suspend(self, suspend: bool) -> None:
        if (job := self._cluster.store.get(*self._where)) is not None:
            self._cluster.store.put(with_suspend(job, suspend=suspend))

    async def _until(self, reached: Callable[[Manifest], bool], stop: asyncio.Event) -> Manifest:
        job: Manifest = {}
        while not stop.is_set():
            outcome = await reconcile(self._cluster, *self._where, utc_now(), self._settings)
            if outcome.error is not None:  # nothing here heals by waiting, as an API server may
                raise ClusterError(outcome.error, retryable=False)
            seen = self._cluster.version
            job = self._tell() or job  # gone: deleteJob with a TTL of 0; what was last seen of it tells the end
            if job.get("status", {}).get("phase") and reached(job):
                return job
            await self._wait(seen, outcome.requeue_after, stop)
        return self._tell() or job

    async def _wait(self, seen: int, requeue_after: float | None, stop: asyncio.Event) -> None:
        """Until something changed, the requeue is due, or `stop` is set."""
        due = time.monotonic() + (self._settings.poll_seconds if requeue_after is None else requeue_after)
        while self._cluster.version == seen and time.monotonic() < due and not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), min(LOOK_SECONDS, max(0.0, due - time.monotonic())))
            except TimeoutError:
                self._cluster.refresh()

    def _tell(self) -> Manifest | None:
        job = self._cluster.store.get(*self._where)
        if job is not None and job["metadata"]["resourceVersion"] != self._told:
            self._told = job["metadata"]["resourceVersion"]
            self._on_change(job)
        return job


FINISHED = (Phase.SUCCEEDED, Phase.FAILED)
ENDED = ("Succeeded", "Failed")
