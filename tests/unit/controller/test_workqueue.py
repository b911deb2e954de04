import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fake_cluster import FakeCluster, job

from kubetune.cluster import ClusterError
from kubetune.controller.operate import Operator, OperatorSettings, sweep
from kubetune.controller.settings import ControllerSettings
from kubetune.controller.workqueue import Key, WorkQueue
from kubetune.render import RenderSettings

A, B = Key("SFTJob", "default", "a"), Key("SFTJob", "default", "b")
DEADLINE = 20.0


def play(work: Callable, scenario: Callable[[WorkQueue], Awaitable[None]], workers: int = 2, **options) -> None:
    """Runs the scenario against a running queue."""

    async def main() -> None:
        queue = WorkQueue(work, **options)
        running = asyncio.create_task(queue.run(workers))
        try:
            await asyncio.wait_for(scenario(queue), DEADLINE)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_a_key_added_many_times_is_worked_on_once():
    done: list[Key] = []
    ready = asyncio.Event()

    async def work(key):
        done.append(key)
        if key == B:
            ready.set()

    async def scenario(queue):
        for _ in range(5):
            queue.add(A)
        queue.add(B)
        await ready.wait()

    play(work, scenario, workers=1)
    assert done == [A, B]


def test_a_key_is_never_worked_on_twice_at_a_time_and_no_change_is_lost():
    running, most, runs = 0, 0, 0
    first, release, second = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_):
        nonlocal running, most, runs
        running, runs = running + 1, runs + 1
        most = max(most, running)
        (first if runs == 1 else second).set()
        await release.wait()
        running -= 1

    async def scenario(queue):
        queue.add(A)
        await first.wait()
        for _ in range(3):
            queue.add(A)
        release.set()
        await second.wait()

    play(work, scenario, workers=4)
    assert (runs, most) == (2, 1)


def test_different_keys_are_worked_on_side_by_side():
    both, passed = asyncio.Barrier(2), asyncio.Event()

    async def work(_):
        await both.wait()  # passes only if the other is here, too
        passed.set()

    async def scenario(queue):
        queue.add(A)
        queue.add(B)
        await passed.wait()

    play(work, scenario)


def test_work_asks_to_be_done_again():
    runs, thrice = [], asyncio.Event()

    async def work(key):
        runs.append(key)
        if len(runs) == 3:
            thrice.set()
            return None
        return 0.001

    async def scenario(queue):
        queue.add(A)
        await thrice.wait()

    play(work, scenario)
    assert runs == [A, A, A]


def test_the_sooner_look_wins_and_an_event_cancels_the_wait():
    async def work(_):
        return None

    async def scenario(queue):
        queue.add_after(A, 1000)
        queue.add_after(A, 100)
        loop = asyncio.get_running_loop()
        assert queue._timers[A].when() < loop.time() + 500
        queue.add_after(A, 1000)
        assert queue._timers[A].when() < loop.time() + 500
        queue.add(A)
        assert A not in queue._timers

    play(work, scenario)


def test_one_jobs_bug_does_not_stop_the_others(caplog):
    done = asyncio.Event()

    async def work(key):
        if key == A:
            raise RuntimeError("a bug")
        done.set()

    async def scenario(queue):
        queue.add(A)
        queue.add(B)
        await done.wait()
        assert A in queue._timers, "it is tried again later"

    play(work, scenario, workers=1, error_seconds=1000)
    assert "a bug" in caplog.text


class Listing(FakeCluster):
    async def list_jobs(self, kind, namespace):
        self._fault(f"list {kind}")
        return [j for (k, n, _), j in self.jobs.items() if k == kind and namespace in (None, n)]


@pytest.mark.parametrize(("namespaces", "found"), [((), {"a", "b"}), (("default",), {"a", "b"}), (("other",), set())])
def test_a_sweep_adds_every_job_of_both_kinds(namespaces, found):
    cluster = Listing(job(name="a"), job("OSFTJob", name="b"))
    queue = WorkQueue(lambda _: None)
    asyncio.run(sweep(cluster, queue, namespaces))
    assert {key.name for key in queue._waiting} == found


def test_a_sweep_goes_on_where_one_kind_cannot_be_listed():
    cluster = Listing(job(name="a"), job("OSFTJob", name="b"))
    cluster.faults["list SFTJob"] = [ClusterError("forbidden")]
    queue = WorkQueue(lambda _: None)
    asyncio.run(sweep(cluster, queue, ()))
    assert {key.name for key in queue._waiting} == {"b"}


def test_the_operator_reconciles_what_the_sweep_finds():
    cluster = Listing(job(name="a"), job("OSFTJob", name="b", uid="22222222-0000-4000-8000-000000000000"))
    settings = OperatorSettings(ControllerSettings(render=RenderSettings(image="trainer:1")), sweep_seconds=0.01)

    async def main() -> None:
        running = asyncio.create_task(Operator(cluster, settings).run())
        async with asyncio.timeout(DEADLINE):
            while len(cluster.children) < 2:  # noqa: ASYNC110 - the cluster in memory tells nobody
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())
    assert set(cluster.children) == {"a-sft-1", "b-osft-1"}
