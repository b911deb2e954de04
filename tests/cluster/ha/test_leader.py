"""Two real operators on a real API server: one acts."""

import signal
import time

import pytest
from waiting import until

pytestmark = pytest.mark.cluster
PROMISE = 15.0
"""Seconds in which the other acts after a kill -9."""


@pytest.fixture
def pair(start, plane, namespace):
    scope = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
    first = start("first", *scope)
    until(lambda: first.leads, "the first leads")
    second = start("second", *scope)
    assert plane.holder(namespace) == "first"
    assert not second.leads
    return first, second


def test_after_a_kill_the_other_acts_within_fifteen_seconds(pair, plane, namespace, record_property):
    first, second = pair
    plane.create_job(namespace, "before")
    until(lambda: plane.children(namespace) == ["before-sft-1"], "the first acts")
    first.signal(signal.SIGKILL)
    killed = time.monotonic()
    plane.create_job(namespace, "after")
    until(lambda: len(plane.children(namespace)) == 2, "the second acts")
    took = time.monotonic() - killed
    record_property("takeover_seconds", round(took, 1))
    print(f"takeover after kill -9: {took:.1f} s")
    assert took < PROMISE
    assert plane.holder(namespace) == "second"
    assert second.leads
    assert plane.transitions(namespace) == 1
    assert sorted(plane.children(namespace)) == ["after-sft-1", "before-sft-1"]


def test_a_leader_that_is_told_to_end_drains_and_hands_over_at_once(pair, plane, namespace, record_property):
    first, second = pair
    for number in range(10):
        plane.create_job(namespace, f"job-{number}")
    first.signal(signal.SIGTERM)
    told = time.monotonic()
    took = first.wait(30)
    assert first.process.returncode == 0
    record_property("drain_seconds", round(took, 1))
    print(f"drained in {took:.1f} s")
    assert took < 5
    until(lambda: second.leads, "the second leads")
    handed = time.monotonic() - told
    record_property("handover_seconds", round(handed, 1))
    assert handed < 10, "the Lease was given up: nobody waited for its end"
    until(lambda: len(plane.children(namespace)) == 10, "every job has its child")
    assert plane.holder(namespace) == "second"
    assert "gave up the lease" in first.said


STAYS = """
import asyncio
import kopf
from kubetune.controller.__main__ import main

@kopf.on.startup()
async def begin(memo, **_):
    memo.stays = asyncio.create_task(stay())

async def stay():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            print("cancelled, and goes on", flush=True)

main()
"""


def test_whatever_does_not_end_keeps_no_process(start, plane, namespace):
    """kopf waits five seconds for tasks that are left, cancels them, and waits for good."""
    scope = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
    replica = start("stubborn", *scope, program=("-c", STAYS))
    until(lambda: replica.leads, "it leads")
    replica.signal(signal.SIGTERM)
    replica.wait(60)
    assert replica.process.returncode == 0
    assert plane.holder(namespace) is None, "the Lease was given up"
    assert "ends without waiting for the rest any longer" in replica.said


def test_a_leader_stopped_past_its_lease_writes_nothing_when_it_goes_on(pair, plane, namespace):
    first, second = pair
    first.signal(signal.SIGSTOP)
    try:
        plane.create_job(namespace, "meanwhile")  # the first's watch hears of it, too
        until(lambda: plane.children(namespace) == ["meanwhile-sft-1"], "the second acts")
        until(lambda: any(j.get("status", {}).get("attempts") for j in plane.items(namespace, "sftjobs")), "it is recorded")
        child = plane.items(namespace, "pytorchjobs")[0]
    finally:
        first.signal(signal.SIGCONT)
    until(lambda: "does not lead any more" in first.said, "the first notices")
    plane.create_job(namespace, "later")
    until(lambda: len(plane.children(namespace)) == 2, "the second goes on")
    assert (first.leads, second.leads) == (False, True)
    assert first.metric('kubetune_api_writes_total{code="200",resource="pytorchjobs",verb="patch"}') is None
    assert first.made == 0
    assert first.metric('kubetune_api_writes_total{code="200",resource="sftjobs/status",verb="patch"}') is None
    assert plane.items(namespace, "pytorchjobs")[-1]["metadata"]["uid"] == child["metadata"]["uid"]
    assert sorted(plane.children(namespace)) == ["later-sft-1", "meanwhile-sft-1"]
    assert second.made == 2
    assert plane.transitions(namespace) == 1
