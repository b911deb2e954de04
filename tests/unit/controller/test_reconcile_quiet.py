"""What an undisturbed job costs, and what a first attempt that nobody has heard of yet may not lose."""

import asyncio
import copy
from dataclasses import replace

import pytest
from fake_cluster import NOW, FakeCluster, at, job, success
from observations import SETTINGS

from kubetune.cluster import ClusterError
from kubetune.controller.reconcile import Outcome, reconcile

QUIET = replace(SETTINGS, quiet_seconds=120.0)
READS = ("get_job", "pytorchjob", "pods")


def once(cluster: FakeCluster, now) -> Outcome:
    cluster.now = now
    return asyncio.run(reconcile(cluster, "SFTJob", "default", "teach", now, QUIET))


def at_first_sight(cluster: FakeCluster, now) -> Outcome:
    """Of a job that was created while the operator led."""
    cluster.now = now
    newcomer = copy.deepcopy(cluster.job)
    return asyncio.run(reconcile(cluster, "SFTJob", "default", "teach", now, QUIET, newcomer))


def reads_forbidden(cluster: FakeCluster) -> None:
    cluster.faults |= {method: [ClusterError(f"{method} was called")] for method in READS}


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


def test_for_a_newcomer_nothing_is_read():
    cluster = FakeCluster(job())
    reads_forbidden(cluster)
    outcome = at_first_sight(cluster, at(0))
    assert outcome == Outcome(QUIET.poll_seconds, quiet=True)
    assert written(cluster) == []
    assert cluster.calls == [("create", "teach-sft-1")]
    assert all(cluster.faults[method] for method in READS), "none was called"


@pytest.mark.parametrize("owner", ["ours", "somebody-elses"])
def test_a_newcomer_whose_pytorchjob_exists_after_all_is_looked_at_before_anything_is_said(owner):
    cluster = FakeCluster(job())
    once(cluster, at(0))
    if owner != "ours":
        cluster.children["teach-sft-1"]["metadata"]["ownerReferences"] = []
    cluster.calls.clear()
    assert at_first_sight(cluster, at(1)) == Outcome(QUIET.conflict_seconds)
    assert cluster.calls == []
    once(cluster, at(2))
    told = [] if owner == "ours" else [("status", "Failed")]
    assert cluster.calls == told
    assert owner == "ours" or cluster.status["failure"]["reason"] == "NameTaken"


def test_a_newcomer_with_a_bad_spec_is_told_so():
    cluster = FakeCluster(job(training={"numEpochs": -1}))
    reads_forbidden(cluster)
    assert at_first_sight(cluster, at(0)).over
    assert cluster.status["failure"]["reason"] == "InvalidSpec"


@pytest.mark.parametrize(("straggles", "expected"), [(False, Outcome(None, over=True)), (True, Outcome(QUIET.straggler_seconds))])
def test_after_success_no_look_is_needed_but_for_pods_that_run_on(straggles, expected):
    cluster = FakeCluster(job(nodes=2))
    once(cluster, at(0))
    master, worker = cluster.run_pods(1, nodes=2)
    cluster.end_pod(master, 0, success())
    if not straggles:
        cluster.end_pod(worker, 0)
    assert once(cluster, at(30)) == expected
    assert cluster.status["phase"] == "Succeeded"


def test_what_is_to_be_tidied_up_after_the_end_is_looked_at_again_at_once():
    cluster = FakeCluster(job(runPolicy={"cleanPodPolicy": "All"}))
    once(cluster, at(0))
    (master,) = cluster.run_pods(1)
    cluster.end_pod(master, 0, success())
    assert once(cluster, at(30)) == Outcome(0)
    assert "teach-sft-1" in cluster.children, "its end was only just written"
    once(cluster, at(30))
    assert cluster.children == {}
    assert once(cluster, at(31)).over


def test_a_job_with_a_time_to_live_is_not_over_before():
    cluster = FakeCluster(job(runPolicy={"ttlSecondsAfterFinished": 60}))
    once(cluster, at(0))
    (master,) = cluster.run_pods(1)
    cluster.end_pod(master, 0, success())
    assert once(cluster, at(30)) == Outcome(60)
