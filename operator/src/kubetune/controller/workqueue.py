"""Which job is to be reconciled next: each at most once at a time, changes meanwhile not forgotten, later looks remembered.

Level-triggered, as controller-runtime's work queue: events only say that something may have changed. It lives in memory alone,
for a restarted operator looks at every job anyway.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import NamedTuple

logger = logging.getLogger(__name__)


class Key(NamedTuple):
    kind: str
    namespace: str
    name: str


class Entry(NamedTuple):
    """In the order in which they are worked on."""

    background: bool
    serial: int
    key: Key


class WorkQueue:
    """Calls `work(key)` for keys that were added; it answers with seconds until the next look, or None."""

    def __init__(self, work: Callable[[Key], Awaitable[float | None]], *, error_seconds: float = 15.0) -> None:
        self._work = work
        self._error_seconds = error_seconds
        self._ready: asyncio.PriorityQueue[Entry] = asyncio.PriorityQueue()
        self._serial = count()
        self._waiting: dict[Key, Entry] = {}  # in the queue
        self._busy: dict[Key, float] = {}  # since when, by time.monotonic
        self._again: set[Key] = set()  # added while busy
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._taken = time.monotonic()  # when a worker last began
        self._closed = False

    @property
    def depth(self) -> int:
        """Keys that wait for a worker."""
        return len(self._waiting)

    @property
    def owes_since(self) -> float | None:
        """When the oldest work under way began, or when work was last begun if keys wait (time.monotonic); None: nothing to do."""
        oldest = min(list(self._busy.values()), default=None)
        return oldest if oldest is not None else self._taken if self._waiting else None

    async def drain(self) -> None:
        """Begins nothing any more, for good, and returns when all that was under way has ended."""
        self._closed = True
        while self._busy:  # noqa: ASYNC110 - once in a process's life; an event would be set at every end of work
            await asyncio.sleep(0.02)

    def add(self, key: Key, *, background: bool = False) -> None:
        """Now, or as soon as the work on it that is under way has ended. `background`: after all that is not."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if key in self._busy:
            self._again.add(key)
            return
        if not self._waiting:
            self._taken = time.monotonic()
        waiting = self._waiting.get(key)
        if waiting is None or waiting.background > background:
            self._waiting[key] = Entry(background, next(self._serial), key)
            self._ready.put_nowait(self._waiting[key])

    def add_after(self, key: Key, seconds: float) -> None:
        """The sooner of two wins."""
        loop = asyncio.get_running_loop()
        due, known = loop.time() + seconds, self._timers.get(key)
        if known is None or due < known.when():
            if known:
                known.cancel()
            self._timers[key] = loop.call_at(due, self.add, key)

    async def run(self, workers: int) -> None:
        """Until cancelled; all that waited is then forgotten, for whoever runs it again begins with what is known by then."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._worker())
        finally:
            for timer in self._timers.values():
                timer.cancel()
            for known in (self._timers, self._waiting, self._busy, self._again):
                known.clear()
            self._ready = asyncio.PriorityQueue()

    async def _worker(self) -> None:
        while True:
            entry = await self._ready.get()
            key = entry.key
            if self._closed or self._waiting.get(key) is not entry:  # it was added again, and has been worked on
                continue
            del self._waiting[key]
            self._busy[key] = self._taken = time.monotonic()
            after = await self._guarded(key)
            self._busy.pop(key, None)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            elif after is not None:
                self.add_after(key, after)

    async def _guarded(self, key: Key) -> float | None:
        """One job's bug must not stop the others'."""
        try:
            return await self._work(key)
        except Exception:
            logger.exception("%s %s/%s could not be reconciled", *key)
            return self._error_seconds
