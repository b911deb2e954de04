"""The asyncio client, over the same jobs in memory."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from typing import Any

import pytest
from fake_jobs import FakeJobs, attempt, job, pod

from kubetune import AsyncClient, Client
from kubetune.client import AsyncJobHandle, JobFailedError, JobHandle


def client(*jobs: dict[str, Any]) -> tuple[AsyncClient, FakeJobs]:
    there = FakeJobs(*jobs)
    return AsyncClient(blocking=Client(jobs=there)), there


def verbs(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_it_has_every_verb_of_the_blocking_one_with_its_signature_and_help():
    assert verbs(Client) <= verbs(AsyncClient)
    assert verbs(JobHandle) - {"refresh"} <= verbs(AsyncJobHandle)
    for name in verbs(Client) - {"namespace", "local", "close"}:
        own, blocking = getattr(AsyncClient, name), getattr(Client, name)
        assert own.__doc__ == blocking.__doc__
        assert inspect.signature(own) == inspect.signature(blocking)


def test_submit_wait_and_read():
    async def use() -> None:
        c, there = client()
        async with c:
            spec = {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "pvc://runs"}}
            handle = await c.submit(
                {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "new"}, "spec": spec}
            )
            assert isinstance(handle, AsyncJobHandle)
            there.jobs["SFTJob", "ml", "new"]["status"] = {"phase": "Succeeded"}
            assert (await handle.wait(timeout=60)).phase == "Succeeded"
            assert (await handle.refresh()).phase == "Succeeded"
            assert (await handle.status()).phase == "Succeeded"
            assert [str(each) for each in await c.list()] == ["sftjob/new"]
            assert c.namespace == "ml"
        assert there.closed

    asyncio.run(use())


def test_errors_are_the_blocking_ones():
    async def use() -> None:
        c, _ = client(job(phase="Failed"))
        await c.wait("teach")

    with pytest.raises(JobFailedError):
        asyncio.run(use())


def test_many_wait_at_once():
    async def use() -> list[Any]:
        c, there = client(*(job(f"j{i}", phase="Running") for i in range(30)))
        waiting = [asyncio.create_task(c.wait(f"j{i}", timeout=120)) for i in range(30)]
        await asyncio.sleep(0)
        for stored in there.jobs.values():
            stored["status"]["phase"] = "Succeeded"
        return await asyncio.gather(*waiting)

    assert len(asyncio.run(use())) == 30


def test_a_stream_is_iterated_and_may_be_left():
    async def use() -> list[str]:
        c, there = client(job(phase="Running", attempts=[attempt(1)]))
        there.pod_list = [pod()]
        there.lines = {"teach-sft-1-master-0": ["a", "b", "c"]}
        got = []
        async for line in c.stream("teach", attempt=1):
            got.append(line.text)
            if len(got) == 2:
                break
        return got

    assert asyncio.run(use()) == ["a", "b"]


def test_cancelled_it_leaves_no_thread_waiting():
    async def use() -> None:
        c, _ = client(job(phase="Running"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await c.wait("teach")
        c._threads.shutdown(wait=False)
        deadline = time.monotonic() + 30
        while any("kubetune-client" in thread.name for thread in threading.enumerate()):
            assert time.monotonic() < deadline, "it still waits"
            await asyncio.sleep(0.01)

    asyncio.run(use())
