import asyncio
import time
from collections.abc import Awaitable, Callable

from kubetune.controller.workqueue import Key, WorkQueue

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


def test_a_drained_queue_ends_what_is_under_way_and_begins_nothing():
    started, release = asyncio.Event(), asyncio.Event()
    ended: list[Key] = []

    async def work(key):
        started.set()
        await release.wait()
        ended.append(key)

    async def scenario(queue):
        queue.add(A)
        await started.wait()
        queue.add(B)
        draining = asyncio.create_task(queue.drain())
        await asyncio.sleep(0)
        assert not draining.done()
        release.set()
        await draining
        assert ended == [A]

    play(work, scenario, workers=1)
    assert ended == [A]


def test_a_queue_says_since_when_it_owes_a_result():
    started = asyncio.Event()

    async def work(_):
        started.set()
        await asyncio.Event().wait()

    async def scenario(queue):
        assert queue.owes_since is None
        before = time.monotonic()
        queue.add(A)
        queue.add(B)
        assert queue.depth == 2
        await started.wait()
        assert queue.depth == 1
        assert before <= queue.owes_since <= time.monotonic()

    play(work, scenario, workers=1)


def test_what_can_wait_comes_after_all_that_cannot_and_may_become_urgent():
    done: list[str] = []
    ready = asyncio.Event()
    keys = [Key("SFTJob", "default", name) for name in ("over", "done", "new")]

    async def work(key):
        done.append(key.name)
        if len(done) == 3:
            ready.set()

    async def scenario(queue):
        over, finished, new = keys
        queue.add(over, background=True)
        queue.add(finished, background=True)
        queue.add(new)
        queue.add(finished)
        queue.add(new, background=True)
        await ready.wait()
        assert queue.depth == 0

    play(work, scenario, workers=1)
    assert done == ["new", "done", "over"]
