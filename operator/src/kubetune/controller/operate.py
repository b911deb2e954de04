"""The running operator, but for kopf: a work queue that reconciles while it leads, and a sweep that misses nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from kubetune.cluster import Cluster, ClusterError, Manifest
from kubetune.controller import health
from kubetune.controller.known_jobs import KnownJobs, Seen, seen
from kubetune.controller.kubernetes_cluster import PLURALS
from kubetune.controller.leader import Elector
from kubetune.controller.logs import about
from kubetune.controller.metrics import Metrics
from kubetune.controller.newcomers import Newcomers
from kubetune.controller.operator_settings import OperatorSettings
from kubetune.controller.quiet import Quiet
from kubetune.controller.reconcile import reconcile
from kubetune.controller.strays import Strays
from kubetune.controller.tracing.exporter import Traces
from kubetune.controller.workqueue import Key, WorkQueue

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
PROBE_SECONDS = 15.0
SECOND_LOOK_SECONDS = 60.0
"""When all jobs are listed again because the watch was behind the last list."""

STRAYS_SECONDS = 60.0
"""How often those are looked at whose job is gone; there are none, as a rule."""


class JobCluster(Cluster, Protocol):
    """A cluster that can also list its jobs."""

    def list_jobs(self, kind: str, namespace: str | None) -> AsyncIterator[Manifest]:
        """All jobs of a kind that are in scope, in one namespace or in all. Raises ClusterError, perhaps after some."""

    async def probe(self) -> None:
        """One small request. Raises ClusterError."""


class Operator:
    """Knows all jobs that the watch tells of; while it leads it reconciles them."""

    def __init__(
        self, cluster: JobCluster, settings: OperatorSettings, *, elector: Elector | None = None, jobs: KnownJobs | None = None,
        metrics: Metrics | None = None,
    ) -> None:  # fmt: skip
        """Without an elector it always leads."""
        self._cluster, self._settings, self._elector = cluster, settings, elector
        self.queue = WorkQueue(self._reconcile, error_seconds=settings.controller.error_seconds)
        self.jobs = KnownJobs() if jobs is None else jobs  # an empty one is false
        self._newcomers = Newcomers()
        self._quiet = Quiet()
        self._strays = Strays()
        self.metrics = metrics or Metrics(self.jobs)
        self.traces: Traces | None = None
        """Who is told of what has been written."""
        self.watched: Callable[[], bool] = lambda: True
        """Have the watches begun? Asked from any thread."""
        self.leading = False
        self.limits = health.Limits(contact=settings.contact_seconds)
        self._watching = health.Watching()
        self._beat = self._contact = self._event = time.monotonic()
        self._swept: float | None = None
        self._looked = asyncio.Event()  # the first sweep has ended, whole or not
        self.metrics.queue_depth.set_function(lambda: self.queue.depth)
        self.metrics.watch_age.set_function(lambda: time.monotonic() - self._event)
        self.metrics.blind.set_function(self._blind_seconds)
        self.metrics.sweep_age.set_function(lambda: time.monotonic() - (self._swept or float("-inf")))

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._elector.run(self._lead) if self._elector else self._lead())
            group.create_task(self._sweep_for_ever())
            group.create_task(self._beat_for_ever())
            group.create_task(self._probe_for_ever())
            group.create_task(self._remove_strays_for_ever())

    async def first_look(self, seconds: float) -> None:
        """Returns after the first sweep, or after so long: until then nothing but it should keep the process busy."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._looked.wait()

    async def drain(self, seconds: float) -> bool:
        """Ends what is under way and begins nothing. False if that took too long: then something may still be written."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.queue.drain()
                return True
        return False

    def told(self, kind: str, body: Mapping[str, Any], change: str | None) -> bool:
        """What the watch says of a job: is there anything to reconcile?

        `change`: ADDED, MODIFIED, DELETED, or None in the list with which a watch begins.
        """
        uid = body["metadata"]["uid"]
        self._event = time.monotonic()
        self._watching.told(uid)
        job = seen(kind, body)
        if change == "DELETED":  # or its labels have left the selector
            self.jobs.forget(uid)
            self._strays.job_gone(job)
            self._newcomers.told(job.key, body, change)
            return False
        before = self.jobs.update(uid, job)
        self._newcomers.told(job.key, body, change)
        if self.leading and (before or change == "ADDED"):
            self.metrics.changed(before, job)
            log_change(before, job)
        speaks = job.steps and job.key in self._quiet  # a phase that lags behind the steps would be read as a mistake
        return speaks or job.asks_for_more_than(before)

    def notice(self, key: Key) -> None:
        """Something may have changed. A standby need not remember: it begins with all jobs when it takes over."""
        self._event = time.monotonic()
        if self.leading:
            self._add(key)

    def child_told(self, key: Key, body: Mapping[str, Any], change: str | None) -> None:
        """What the watch says of a job's PyTorchJob: is it that job's at all?"""
        self._strays.child_told(key, body, change, self.jobs.uid(key))

    def child_moved(self, key: Key, *, runs: bool) -> None:
        """A job's PyTorchJob is further on; `runs`: all that it says is that its pods run."""
        self._event = time.monotonic()
        if not self.leading or self.jobs.over(key):
            return
        if runs and key in self._quiet:  # most end before anybody would have read that they run
            self.queue.add_after(key, self._settings.controller.among(self.jobs.live).quiet_pods_seconds)
        else:
            self._add(key)

    def _add(self, key: Key) -> None:
        """What is over can wait for what is not: after a start it may be thousands."""
        known = self.jobs.of(key)
        self._quiet.stir(key)
        self.queue.add(key, background=known is not None and known.finished)

    def answered(self, status: int | None) -> None:
        """A request got that HTTP status (None: no answer). From any thread."""
        if status and (status < 400 or status in (404, 409)):
            self._contact = time.monotonic()

    def faults(self) -> Iterator[str]:
        """Why liveness fails. From any thread."""
        return health.faults(self._pulse(), time.monotonic(), self.limits)

    def unready(self) -> Iterator[str]:
        """Why readiness fails. From any thread."""
        return health.unready(self._pulse(), time.monotonic(), self.limits)

    def _blind_seconds(self) -> float:
        since = self._watching.blind
        return 0.0 if since is None else time.monotonic() - since

    def _pulse(self) -> health.Pulse:
        blind, warm = self._watching.blind, self._swept is not None
        return health.Pulse(self._beat, self._contact, self.queue.owes_since, blind, warm, self.watched())

    async def _lead(self) -> None:
        self.leading = True
        self._newcomers.lead(datetime.now(UTC))
        self.metrics.leader.set(1)
        try:
            for job in self.jobs.all():
                self._add(job.key)
            await self.queue.run(self._settings.workers)
        finally:
            self.leading = False
            self._newcomers.lead(None)
            self._quiet.clear()
            self.metrics.leader.set(0)

    async def _reconcile(self, key: Key) -> float | None:
        known = self.jobs.of(key)
        if self._settings.selector and known is None:
            return None  # a child's event, or a later look: the job itself is not, or no longer, in scope
        settings = self._settings.controller.among(self.jobs.live)
        if await self._nothing_to_see(key):
            return settings.poll_seconds
        began = time.monotonic()
        with about(job=name_of(key), attempt=known.attempt if known else None):
            newcomer = self._newcomers.take(key)
            outcome = await reconcile(self._cluster, *key, datetime.now(UTC), settings, newcomer)
            if outcome.error:
                logger.warning("%s %s/%s: %s", *key, outcome.error)
        result = "error" if outcome.error else "ok"
        if self.traces and outcome.written:
            self.traces.written(outcome.written)
        if outcome.over:
            self.jobs.settle(key)
        self._quiet.looked(key, time.monotonic(), quiet=outcome.quiet)
        self.metrics.reconciles.labels(key.kind, result).observe(time.monotonic() - began)
        return outcome.requeue_after

    async def _nothing_to_see(self, key: Key) -> bool:
        """One read instead of four for a job that waits for the training operator."""
        pod, uid = self._quiet.glance(key, time.monotonic()), self.jobs.uid(key)
        if pod is None or uid is None:
            return False
        try:
            return not await self._cluster.pods(key.namespace, uid, (pod,))
        except ClusterError:  # a whole look says what is wrong
            return False

    async def _beat_for_ever(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    async def _probe_for_ever(self) -> None:
        """So that silence means something."""
        while True:
            with suppress(ClusterError):  # health sees what is missing
                await self._cluster.probe()
            await asyncio.sleep(PROBE_SECONDS)

    async def _remove_strays_for_ever(self) -> None:
        while True:
            await asyncio.sleep(STRAYS_SECONDS)
            await self.remove_strays()

    async def remove_strays(self) -> None:
        """Removes PyTorchJobs of jobs that are gone, where the garbage collector took another job for theirs."""
        if not self.leading:
            return
        try:
            await self._strays.remove(self._cluster, self.jobs, datetime.now(UTC), self._settings.controller.forgotten_seconds)
        except ClusterError as error:
            logger.warning("what earlier jobs left could not be looked at: %s", error)

    async def _sweep_for_ever(self) -> None:
        """The first leaves what is over to the watch: it begins with a list of its own, and each job in it is news."""
        while True:
            whole = await self.sweep(first=not self._looked.is_set())
            self._looked.set()
            if whole:
                self._swept = time.monotonic()
            soon = self._watching.owes or not whole
            await asyncio.sleep(min(SECOND_LOOK_SECONDS if soon else self._settings.sweep_seconds, self._settings.sweep_seconds))

    async def sweep(self, *, first: bool = False) -> bool:
        """Puts every job into the queue about which something may be left to do; the `first` time those that are not over.

        They need not wait until the watch has told of thousands that are: a page of a list is quicker than kopf's handlers.
        What the watch knows is compared with later lists: it begins after this one.
        False if something could not be listed: it is next time.
        """
        known, behind, whole = self.jobs.uids(), dict[str, str](), True
        for kind in PLURALS:
            for namespace in self._settings.namespaces or (None,):
                try:
                    async for manifest in self._cluster.list_jobs(kind, namespace):
                        uid, job = manifest["metadata"]["uid"], seen(kind, manifest)
                        known.discard(uid)
                        if not first:
                            self._listed(uid, job)
                        elif not job.finished:
                            self.jobs.update(uid, job)  # for whoever begins to lead only now
                            self._listed(uid, job)
                        if self.jobs.version(uid) != job.version:  # or newer than this list: a second one will tell
                            behind[uid] = job.version
                except ClusterError as error:
                    logger.warning("%s could not be listed: %s", kind, error)
                    whole = False
        if whole and not first:
            self._compare(known, behind)
        return whole

    def _listed(self, uid: str, job: Seen) -> None:
        if self.leading and not self.jobs.settled(uid, job):
            self._quiet.stir(job.key)
            self.queue.add(job.key, background=job.finished)

    def _compare(self, gone: set[str], behind: dict[str, str]) -> None:
        for uid in gone:
            self.jobs.forget(uid)
        self._watching.listed(behind, time.monotonic())


def name_of(key: Key) -> str:
    return f"{key.kind} {key.namespace}/{key.name}"


def log_change(before: Seen | None, job: Seen) -> None:
    """One line a transition, with what log collectors select by."""
    if before is None or (before.phase, before.attempt) != (job.phase, job.attempt):
        reason = job.failure or job.reason
        fields = {"job": name_of(job.key), "attempt": job.attempt, "reason": reason}
        logger.info("%s: %s (%s), attempt %d", name_of(job.key), job.phase, reason or "seen", job.attempt, extra=fields)
