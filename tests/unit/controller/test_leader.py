"""Election over a Lease kept in memory, with versions as an API server keeps them; clocks that the test turns."""

import asyncio
from dataclasses import replace

import pytest

from kubetune.cluster import ClusterError
from kubetune.controller import lease
from kubetune.controller.kubernetes_api import NotLeaderError
from kubetune.controller.leader import Elector, Tenure
from kubetune.controller.lease import Times

QUICK = Times(duration=1, margin=0.25, renew=0.05, look=0.05)
DEADLINE = 20


class Store:
    """What several replicas share."""

    namespace, name = "ns", "lease"

    def __init__(self) -> None:
        self.record = None
        self.down: set[str] = set()  # holders that get no answer
        self.holders: list[str | None] = []
        self.refused = 0

    def of(self, me: str) -> "Mine":
        return Mine(self, me)


class Mine:
    namespace, name = "ns", "lease"

    def __init__(self, store: Store, me: str) -> None:
        self.store, self.me = store, me

    async def read(self):
        self._answer()
        return self.store.record

    async def write(self, manifest):
        self._answer()
        now = self.store.record
        if (now.version if now else "") != manifest["metadata"].get("resourceVersion", ""):
            raise ClusterError("changed", status=409)
        version = str(int(now.version) + 1 if now else 1)
        stored = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}
        self.store.record = replace(lease.record_of(stored), duration=QUICK.duration)
        if self.store.holders[-1:] != [self.store.record.holder]:
            self.store.holders.append(self.store.record.holder)
        return self.store.record

    def _answer(self) -> None:
        if self.me in self.store.down:
            self.store.refused += 1
            raise ClusterError("no answer")


class Replica:
    def __init__(self, store: Store, me: str) -> None:
        self.me, self.acting, self.tenure = me, False, Tenure()
        self.elector = Elector(store.of(me), me, self.tenure, times=QUICK)
        self.others: list[Replica] = []
        self.task: asyncio.Task | None = None

    async def lead(self) -> None:
        self.acting = True
        try:
            while True:
                assert not (self.tenure.holds and any(o.tenure.holds for o in self.others)), "two leaders"
                await asyncio.sleep(0.01)
        finally:
            self.acting = False

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run(self.lead))

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def play(scenario) -> Store:
    store = Store()
    a, b = Replica(store, "a"), Replica(store, "b")
    a.others, b.others = [b], [a]

    async def main() -> None:
        a.start()
        await until(lambda: a.acting)
        b.start()
        try:
            async with asyncio.timeout(DEADLINE):
                await scenario(store, a, b)
            for replica in (a, b):
                assert not replica.task.done() or replica.task.cancelled()
        finally:
            await a.stop()
            await b.stop()

    asyncio.run(main())
    return store


async def until(ready) -> None:
    async with asyncio.timeout(DEADLINE):
        while not ready():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)


def test_the_next_one_acts_when_the_leader_falls_silent_and_only_then():
    async def scenario(store, a, b):
        assert not b.acting
        await a.stop()  # without a word: the Lease is not given up
        assert store.record.holder == "a"
        await until(lambda: b.acting)

    assert play(scenario).holders == ["a", "b"]


def test_a_lease_given_up_is_taken_at_once():
    async def scenario(store, a, b):
        await a.stop()
        await a.elector.release()
        await until(lambda: b.acting)

    assert play(scenario).holders == ["a", None, "b"]


def test_a_leader_cut_off_from_the_api_server_stops_acting_before_another_begins():
    async def scenario(store, a, b):
        store.down.add("a")
        await until(lambda: not a.acting)
        assert not b.acting
        await until(lambda: b.acting)
        store.down.clear()
        await until(lambda: a.elector._view.record.holder == "b")
        assert not a.acting

    assert play(scenario).holders == ["a", "b"]


def test_a_leader_survives_an_api_server_that_is_away_for_a_moment():
    async def scenario(store, a, b):
        store.down.add("a")
        await until(lambda: store.refused)
        before = store.record.version
        store.down.clear()
        await until(lambda: int(store.record.version) > int(before) + 3)
        assert a.acting

    assert play(scenario).holders == ["a"]


def test_a_lease_taken_away_or_deleted_by_hand_is_noticed():
    async def scenario(store, a, b):
        manifest = {**store.record.manifest, "spec": {**store.record.manifest["spec"], "holderIdentity": "somebody"}}
        store.record = replace(
            lease.record_of(manifest), version="99", manifest={**manifest, "metadata": {"resourceVersion": "99"}}, duration=1
        )
        await until(lambda: not a.acting)
        await until(lambda: a.acting or b.acting)

    play(scenario)


def test_what_the_leader_does_fails_loudly():
    store = Store()

    async def broken() -> None:
        raise ValueError("a bug")

    async def main() -> None:
        async with asyncio.timeout(DEADLINE):
            await Elector(store.of("a"), "a", Tenure(), times=QUICK).run(broken)

    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(main())


def test_a_tenure_ends_by_its_own_clock_though_nobody_looks():
    now = 100.0
    tenure = Tenure(lambda: now)
    with pytest.raises(NotLeaderError):
        tenure.enter()
    tenure.begin(107.5)
    term = tenure.enter()
    tenure.check(term)
    now = 107.5
    assert not tenure.holds
    with pytest.raises(NotLeaderError):
        tenure.check(term)


def test_a_write_begun_in_one_term_is_refused_in_the_next():
    tenure = Tenure(lambda: 0.0)
    tenure.begin(10)
    old = tenure.enter()
    tenure.end()
    tenure.begin(10)
    with pytest.raises(NotLeaderError):
        tenure.check(old)
    tenure.check(tenure.enter())
