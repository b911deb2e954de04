"""Pods that nobody makes and nobody refuses: the training operator is made to look again."""

from __future__ import annotations

import pytest
from fake_cluster import FakeCluster, at, job
from loop import once
from observations import SETTINGS

from kubetune.cluster import NUDGED, ClusterError

LATER = SETTINGS.nudge_seconds


def waiting(**spec: object) -> FakeCluster:
    """A job whose attempt was created at second 0, and for which nobody makes pods."""
    cluster = FakeCluster(job(**spec))
    once(cluster, at(0))
    return cluster


def nudges(cluster: FakeCluster, *seconds: float) -> list[bool]:
    """At which of these looks it was nudged."""
    return [nudged(cluster, each) for each in seconds]


def nudged(cluster: FakeCluster, second: float) -> bool:
    before = cluster.calls.count(("nudge", "teach-sft-1"))
    once(cluster, at(second))
    return cluster.calls.count(("nudge", "teach-sft-1")) > before


def test_after_five_minutes_and_again_as_long_afterwards():
    cluster = waiting()
    assert LATER > 300, "so long the training operator waits for pods that it believes to have made"
    assert nudges(cluster, 60, LATER - 1, LATER, LATER + 30, 2 * LATER - 1, 2 * LATER) == [False, False, True, False, False, True]
    assert cluster.status["phase"] == "Starting"


def test_a_gang_that_lacks_a_pod():
    cluster = waiting(nodes=2)
    cluster.run_pods(1)
    assert nudged(cluster, LATER)
    cluster.run_pods(1, nodes=2)
    assert not nudged(cluster, 2 * LATER)


def test_what_is_refused_is_told_and_not_nudged():
    cluster = waiting()
    (child,) = cluster.children.values()
    cluster.refusals[child["metadata"]["uid"]] = "exceeded quota"
    assert not nudged(cluster, LATER)
    assert cluster.condition("Running")["reason"] == "PodsRefused"


def test_what_waits_in_a_queue_is_left_to_it_and_its_time_counts_from_there():
    cluster = waiting(queueName="team")
    (child,) = cluster.children.values()
    child["spec"]["runPolicy"]["suspend"] = True
    assert nudges(cluster, LATER, 9000) == [False, False]
    child["spec"]["runPolicy"]["suspend"] = False
    assert nudges(cluster, 9001, 9000 + LATER - 1, 9001 + LATER) == [False, False, True]


def test_one_that_is_being_deleted_is_left_alone():
    cluster = waiting()
    (child,) = cluster.children.values()
    child["metadata"]["deletionTimestamp"] = at(1).isoformat()
    assert not nudged(cluster, LATER)


def test_what_it_was_made_from_stays_written_on_it():
    cluster = waiting()
    before = dict(cluster.children["teach-sft-1"]["metadata"]["annotations"])
    assert nudged(cluster, LATER)
    assert cluster.children["teach-sft-1"]["metadata"]["annotations"] == before | {NUDGED: "2026-01-01T12:05:30Z"}


@pytest.mark.parametrize("text", ["yesterday", "", "2026-01-01"])
def test_an_annotation_that_somebody_else_wrote_is_no_reason_to_fail(text):
    cluster = waiting()
    cluster.children["teach-sft-1"]["metadata"]["annotations"][NUDGED] = text
    assert nudged(cluster, LATER)


def test_a_cluster_that_refuses_it_is_asked_again():
    cluster = waiting()
    cluster.faults["nudge_pytorchjob"] = [ClusterError("try later")]
    assert nudges(cluster, LATER, LATER + 30) == [False, True]
