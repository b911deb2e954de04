"""The faults: which request meets which, and which disaster comes when. Drawn from one seed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from e2e.chaos.proxy import Asked, Fault, Kind, Proxy
from e2e.chaos.recorder import Recorder
from e2e.chaos.replicas import Replica

PER_MILLE: tuple[tuple[int, Fault], ...] = (
    (20, Fault(Kind.ANSWER, 429, {"Retry-After": "1"})),
    (5, Fault(Kind.ANSWER, 429)),
    (15, Fault(Kind.ANSWER, 500)),
    (10, Fault(Kind.ANSWER, 503)),
    (15, Fault(Kind.RESET)),
    (20, Fault(Kind.LOSE)),
    (10, Fault(Kind.TEAR)),
    (40, Fault(Kind.DELAY)),
    (2, Fault(Kind.HANG, seconds=8)),
)
"""Of a thousand requests of the operator so many meet this fault; a delay is of 50 ms to 2 s."""


READY_SECONDS = 60.0
"""How long the next kill waits for the last one's victims to be ready again."""


def chooser(random: Random) -> Callable[[Asked], Fault | None]:
    """Draws for each request."""

    def choose(_: Asked) -> Fault | None:
        drawn = random.uniform(0, 1000)
        for share, fault in PER_MILLE:
            drawn -= share
            if drawn < 0:
                return Fault(Kind.DELAY, seconds=random.uniform(0.05, 2)) if fault.kind is Kind.DELAY else fault
        return None

    return choose


@dataclass
class Disasters:
    """All that comes over operator and API server, each at random."""

    random: Random
    recorder: Recorder
    proxy: Proxy
    replicas: list[Replica]
    restart_api_server: Callable[[], Awaitable[None]]
    delete_a_pod: Callable[[], Awaitable[None]]
    delete_a_child: Callable[[], Awaitable[None]]

    async def run(self, until: float, pace: float) -> None:
        """Until the recorder's clock says so, and the last has passed.

        `pace`: 1 for the usual intervals (in seconds, on average), less for a shorter run.
        """
        kinds: tuple[tuple[float, Callable[[], Awaitable[None]]], ...] = (
            (30, self.end_a_replica),
            (120, self.end_all_replicas),
            (60, self.freeze_a_replica),
            (100, self.restart_api_server),
            (10, self.cut_watches),
            (25, self.expire_watches),
            (50, self.partition),
            (5, self.delete_a_pod),
            (12, self.delete_a_child),
        )
        async with asyncio.TaskGroup() as group:
            for seconds, disaster in kinds:
                group.create_task(self._again_and_again(until, seconds * pace, disaster))
            await asyncio.sleep(until - self.recorder.clock)

    async def _again_and_again(self, until: float, seconds: float, disaster: Callable[[], Awaitable[None]]) -> None:
        while self.recorder.clock + (wait := self.random.expovariate(1 / seconds)) < until:
            await asyncio.sleep(wait)
            await disaster()

    async def end_a_replica(self) -> None:
        how = signal.SIGTERM if self.random.random() < 0.25 else signal.SIGKILL
        await self._end([self.random.choice(self.replicas)], how)

    async def end_all_replicas(self) -> None:
        await self._end(self.replicas, signal.SIGKILL)

    async def _end(self, replicas: list[Replica], how: signal.Signals) -> None:
        for replica in replicas:
            replica.end(how)
        for replica in replicas:
            await replica.gone()
        await asyncio.sleep(self.random.uniform(0, 5))
        for replica in replicas:
            if not replica.runs:
                replica.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY_SECONDS):
                for replica in replicas:
                    await replica.ready()

    async def freeze_a_replica(self) -> None:
        """Longer than the Lease lasts: somebody else leads when it wakes up."""
        replica = self.random.choice(self.replicas)
        replica.freeze()
        await asyncio.sleep(self.random.uniform(8, 16))
        replica.thaw()

    async def cut_watches(self) -> None:
        self.recorder.did("cut watches", str(self.proxy.cut_watches()))

    async def expire_watches(self) -> None:
        self.recorder.did("expire watches", str(self.proxy.expire_watches()))

    async def partition(self) -> None:
        self.recorder.did("partition")
        self.proxy.partition()
        await asyncio.sleep(self.random.uniform(1, 10))
        self.proxy.heal()
        self.recorder.did("heal")
