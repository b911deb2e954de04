"""Leader election over a Lease, and the fence that every write passes. The decisions are `lease`'s; kopf has no such thing."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

from kubetune.cluster import ClusterError, Manifest
from kubetune.controller import lease
from kubetune.controller.kubernetes_api import KubernetesApi, NotLeaderError, Request
from kubetune.controller.lease import Record, Step, Times, View

logger = logging.getLogger(__name__)

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
DEADLINE = (2.0, 3.0)
"""Seconds to connect and to read: a request about the Lease that takes longer has failed."""
NOT_FOUND, CONFLICT = 404, 409


def clock() -> float:
    """Seconds that pass while the machine sleeps, too, where the system can tell; it never goes back."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Tenure:
    """The right to write: ended by its own clock, whether anybody looks or not. Thread-safe.

    Each time that it is won is a term: what began in one term must not write in a later one, for another may have acted between.
    """

    def __init__(self, now: Callable[[], float] = clock) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._until = float("-inf")
        self._term = 0

    def begin(self, until: float) -> None:
        with self._lock:
            self._term, self._until = self._term + 1, until

    def extend(self, until: float) -> None:
        with self._lock:
            self._until = until

    def end(self) -> None:
        with self._lock:
            self._until = float("-inf")

    @property
    def holds(self) -> bool:
        return self._now() < self._until

    def enter(self) -> int:
        """The term in which a write begins. Raises NotLeaderError outside of one."""
        self.check(self._term)
        return self._term

    def check(self, term: int) -> None:
        """Raises NotLeaderError if that term is over. To be asked before each try."""
        with self._lock:
            if term != self._term or self._now() >= self._until:
                raise NotLeaderError("not sent: this replica is not the leader (any more)")


class LeaseStore:
    """The Lease at the API server. Its requests pass no fence and wait behind nobody's: they have a thread of their own."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str, executor: Executor | None = None) -> None:
        self._api = api
        self.namespace, self.name = namespace, name
        self._executor = executor or ThreadPoolExecutor(2, "lease")  # one may hang

    async def read(self) -> Record | None:
        """None if there is none yet. Raises ClusterError."""
        try:
            return lease.record_of(await self._call("GET", f"/{self.name}"))
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def write(self, manifest: Manifest) -> Record:
        """Creates it, or replaces the very version that was read. Raises ClusterError, 409 if somebody else wrote first."""
        exists = "resourceVersion" in manifest["metadata"]
        answer = await (self._call("PUT", f"/{self.name}", manifest) if exists else self._call("POST", "", manifest))
        return lease.record_of(answer)

    async def _call(self, method: str, path: str, body: Manifest | None = None) -> Manifest:
        request = Request(method, LEASES.format(self.namespace) + path, body=body, tries=1, timeout=DEADLINE)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._api.json, request)


class Elector:
    """Lets `lead` run while, and only while, this replica holds the Lease."""

    def __init__(
        self, store: LeaseStore, me: str, tenure: Tenure, *, times: Times | None = None, now: Callable[[], float] = clock
    ) -> None:
        """`me`: must be no other process's, ever."""
        self._store, self._me, self._tenure = store, me, tenure
        self._times = times or Times()
        self._now = now
        self._view = View()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled. `lead` is cancelled when the Lease is lost, and has ended before it is sought again."""
        while True:
            await self._acquire()
            logger.info("%s leads (lease %s/%s)", self._me, self._store.namespace, self._store.name)
            acting = asyncio.ensure_future(lead())
            try:
                await self._keep(acting)
            finally:
                self._tenure.end()
                self._view = lease.given_up(self._view)
                acting.cancel()
                with suppress(asyncio.CancelledError):
                    await acting
            logger.warning("%s does not lead any more", self._me)

    async def release(self) -> None:
        """Gives the Lease up, if it is ours, so that the next replica need not wait. To be called when nothing writes any more."""
        self._tenure.end()
        with suppress(ClusterError):  # it then ends by itself
            record = await self._store.read()
            if record is not None and record.holder == self._me:
                await self._store.write(lease.release(record))
                logger.info("%s gave up the lease", self._me)

    async def _acquire(self) -> None:
        while True:
            await self._look()
            if lease.next_step(self._view, self._me, self._now()) is Step.ACQUIRE and await self._claim():
                self._tenure.begin(self._view.held_until or self._now())
                return
            await asyncio.sleep(lease.pause(self._view, self._times, self._now()))

    async def _keep(self, acting: asyncio.Future[None]) -> None:
        """Renews until the Lease is lost. Raises what `lead` raises."""
        while True:
            await asyncio.wait([acting], timeout=lease.pause(self._view, self._times, self._now()))
            if acting.done():
                return acting.result()
            try:
                async with asyncio.timeout(self._left()):
                    kept = await self._renewed()
            except TimeoutError:
                kept = False
            if not kept:
                return None

    def _left(self) -> float:
        return max(0.0, (self._view.held_until or 0.0) - self._now())

    async def _renewed(self) -> bool:
        """False: the Lease is lost. An API server that does not answer is asked again while there is time."""
        if lease.next_step(self._view, self._me, self._now()) is Step.LOST:
            return False
        if await self._claim():
            self._tenure.extend(self._view.held_until or self._now())
            return True
        await self._look()
        return lease.next_step(self._view, self._me, self._now()) is not Step.LOST

    async def _look(self) -> None:
        try:
            self._view = lease.seen(self._view, await self._store.read(), self._now())
        except ClusterError as error:
            logger.warning("the lease %s/%s could not be read: %s", self._store.namespace, self._store.name, error)

    async def _claim(self) -> bool:
        asked = self._now()
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        wanted = lease.claim(self._view.record, self._store.name, self._store.namespace, self._me, moment, self._times)
        try:
            record = await self._store.write(wanted)
        except ClusterError as error:
            logger.log(logging.INFO if error.status == CONFLICT else logging.WARNING, "the lease was not got: %s", error)
            return False
        self._view = lease.granted(record, asked, self._now(), self._times)
        return True
