"""What an undisturbed job costs, and what a first attempt that nobody has heard of yet may not lose."""

import asyncio
from dataclasses import replace

import pytest
from fake_cluster import NOW, FakeCluster, at, job, success
from observations import SETTINGS

from kubetune.controller.reconcile import Outcome, reconcile

QUIET = replace(SETTINGS, quiet_seconds=120.0)


def once(cluster: FakeCluster, now) -> Outcome:
    cluster.now = now
    return asyncio.run(reconcile(cluster, "SFTJob", "default", "teach", now, QUIET))


def written(cluster: FakeCluster) -> list:
    return [call for call in cluster.calls if call[0] in ("apply", "status")]


def test_an_undisturbed_job_is_written_three_times():
    cluster = FakeCluster(job())
    once(cluster, at(0))
    (master,) = cluster.run_pods(1)
    once(cluster, at(3))
    cluster.end_pod(master, 0, success())
    for second in (60, 61, 62):
        once(cluster, at(second))
    assert written(cluster) == [("apply", "teach-sft-1"), ("status", "Running"), ("status", "Succeeded")]
    assert cluster.status["attempts"][0]["started"] == cluster.status["startTime"]


def test_an_attempt_without_pods_is_told_of_after_the_quiet_time_and_not_before():
    cluster = FakeCluster(job())
    assert once(cluster, at(0)).requeue_after == QUIET.poll_seconds
    assert once(cluster, at(100)).requeue_after == 20
    assert written(cluster) == [("apply", "teach-sft-1")]
    once(cluster, at(120))
    assert cluster.status["phase"] == "Starting"
    assert [attempt["number"] for attempt in cluster.status["attempts"]] == [1]


def test_pods_that_do_not_run_soon_are_told_of():
    cluster = FakeCluster(job())
    once(cluster, at(0))
    cluster.now = at(50)
    (master,) = cluster.run_pods(1)
    cluster.pod_objects[master]["status"] = {"phase": "Pending"}
    assert once(cluster, at(51)).requeue_after == 9
    assert written(cluster) == [("apply", "teach-sft-1")]
    once(cluster, at(60))
    assert cluster.condition("Reconciling")["message"] == "the pods are being started"


def test_a_pod_that_cannot_start_is_told_of_at_once():
    cluster = FakeCluster(job())
    once(cluster, at(0))
    (master,) = cluster.run_pods(1)
    waits = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    cluster.pod_objects[master]["status"] = {"phase": "Pending", "containerStatuses": [{"name": "pytorch", "state": waits}]}
    once(cluster, at(1))
    assert cluster.condition("Reconciling")["reason"] == "ImagePullBackOff"


@pytest.mark.parametrize("spec", [{"runPolicy": {"activeDeadlineSeconds": 60}}, {"runPolicy": {"suspend": True}}])
def test_where_there_is_more_to_say_it_is_said_at_once(spec):
    cluster = FakeCluster(job(**spec))
    once(cluster, at(0))
    assert cluster.status["phase"] in ("Starting", "Suspended")


def test_a_child_that_was_deleted_before_its_attempt_was_recorded_is_a_lost_attempt_if_it_had_pods():
    cluster = FakeCluster(job())
    once(cluster, at(0))
    cluster.run_pods(1)
    cluster.graceful = True
    cluster.remove_child("teach-sft-1")
    for second in (1, 60):
        once(cluster, at(second))
    first = cluster.status["attempts"][0]
    assert (first["number"], first["pyTorchJob"]) == (1, "teach-sft-1")
    assert first["ended"]


def test_a_child_that_was_deleted_before_it_had_pods_is_made_again():
    cluster = FakeCluster(job())
    once(cluster, NOW)
    cluster.remove_child("teach-sft-1")
    once(cluster, at(1))
    assert list(cluster.children) == ["teach-sft-1"]
    once(cluster, at(200))
    assert [attempt["number"] for attempt in cluster.status["attempts"]] == [1]
