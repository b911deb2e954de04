"""A job of the embedded cluster that runs in this process: a thread of its own drives it as `kubetune run` does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress

from kubetune.cluster import ClusterError, Manifest
from kubetune.local.cluster import LocalCluster
from kubetune.local.loop import JobKey, JobLoop
from kubetune.local.settings import controller_settings
from kubetune.local.state import JobLockedError, StateDir
from kubetune.local.takeup import interrupted

Prepare = Callable[[LocalCluster], Awaitable[Manifest | None]]
"""Stores the job as it is to be driven, and returns it; None: nothing is left to drive."""


class LocalRun:
    """Holds the job's lock until it is finished or stopped."""

    def __init__(self, state: StateDir, key: JobKey, prepare: Prepare) -> None:
        """Returns when the job is stored. Raises what `prepare` raises, and ClusterError (409) if another process holds it."""
        self.key, self.error = key, ""
        self._state, self._prepare = state, prepare
        self._stored: Future[Manifest | None] = Future()
        self._kill = False
        self._thread = threading.Thread(target=self._main, name=f"kubetune {key.name}", daemon=True)
        self._thread.start()
        self._stored.result()

    @property
    def job(self) -> Manifest:
        """As it was stored at first."""
        return self._stored.result() or {}

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def change(self, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Lays a change over the stored job, between two steps of what drives it."""
        done: Future[Manifest] = Future()

        def apply() -> None:
            try:
                job = self._cluster.store.get(self.key.kind, self.key.namespace, self.key.name)
                if job is None:
                    raise ClusterError(f"{self.key.kind} {self.key.name} does not exist", status=404, retryable=False)  # noqa: TRY301
                done.set_result(self._cluster.store.put(change(job)))
            except Exception as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)

        with suppress(RuntimeError):  # its loop has just ended
            self._loop.call_soon_threadsafe(apply)
        while self._thread.is_alive() and not done.done():
            self._thread.join(timeout=0.02)
        if not done.done():
            raise ClusterError(f"{self.key.kind} {self.key.name} has just ended", status=409)
        return done.result()

    def join(self) -> None:
        """Returns when the job is finished or stopped and nothing of it runs."""
        self._thread.join()

    def stop(self, *, kill: bool = False) -> None:
        """Ends the pods, after they saved (or at once), and returns when nothing of them runs. The job can be gone on with."""
        self._kill = self._kill or kill
        if self._thread.is_alive():
            with suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
            self.join()

    def _main(self) -> None:
        try:
            with self._state.lock(self.key.kind, self.key.namespace, self.key.name):
                asyncio.run(self._drive())
        except JobLockedError as error:
            message = f"{self.key.kind} {self.key.name} is being run by process {error} in {self._state.root}: stop it there"
            self._stored.set_exception(ClusterError(message, status=409, retryable=False))
        except Exception as error:  # a thread has nobody else to tell
            self.error = str(error) or type(error).__name__
            if self._stored.done():
                raise
            self._stored.set_exception(error)

    async def _drive(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._cluster = LocalCluster(self._state)
        stored = await self._prepare(self._cluster)
        if stored is None:
            self._stored.set_result(None)
            return
        loop = JobLoop(self._cluster, self.key, controller_settings(self._state))
        self._stored.set_result(stored)
        try:
            if interrupted(stored):
                await loop.take_over()
            await loop.run(self._stop)
            if self._stop.is_set() and not self._kill:
                await loop.suspend()
        except ClusterError as error:
            self.error = str(error)
        finally:
            self._end_pods()

    def _end_pods(self) -> None:
        """Whatever still runs, with the time to save. Nothing else is left for this thread to do, so it may block."""
        processes = [self._cluster.process(pod) for pod in self._cluster.store.select("Pod")]
        for process in processes:
            process.kill() if self._kill else process.terminate()
        for process in processes:
            process.wait()
