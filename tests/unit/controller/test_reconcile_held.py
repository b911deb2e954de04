"""A retry's PyTorchJob gets no pods before the training operator has taken note of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_cluster import FakeCluster, at, failure, job, pod
from loop import once, reasons, settle, started
from observations import SETTINGS
from workloads import admitted

from kubetune.cluster import HELD, ClusterError
from kubetune_trainer.contract import FailureClass

HOLDING = replace(SETTINGS, hold_retries=True)
SECOND = "teach-sft-2"


def retried(**spec: object) -> FakeCluster:
    """At second 100 the second attempt's PyTorchJob is there; the first attempt's pod is gone."""
    cluster, (master,) = started(**spec)
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(20), HOLDING)
    settle(cluster, at(100), HOLDING)
    assert list(cluster.children) == [SECOND]
    return cluster


def suspended(cluster: FakeCluster) -> bool:
    return bool(cluster.children[SECOND]["spec"]["runPolicy"].get("suspend"))


def writes(cluster: FakeCluster) -> int:
    return [call[0] for call in cluster.calls].count("status")


def test_the_first_attempt_is_not_held():
    cluster, _ = started()
    assert "suspend" not in cluster.children["teach-sft-1"]["spec"]["runPolicy"]


def test_it_is_released_when_it_is_acknowledged_and_that_costs_no_status_write():
    cluster = retried()
    before = writes(cluster)
    assert suspended(cluster)
    assert settle(cluster, at(101), HOLDING).requeue_after == HOLDING.held_quiet_seconds - 1
    assert suspended(cluster), "nobody has taken note of it yet"
    cluster.acknowledge(2)
    settle(cluster, at(102), HOLDING)
    assert not suspended(cluster)
    assert cluster.calls[-1] == ("release", SECOND)
    settle(cluster, at(103), HOLDING)
    assert (cluster.status["phase"], cluster.calls.count(("release", SECOND))) == ("Starting", 1)
    cluster.now = at(104)
    cluster.run_pods(2)
    settle(cluster, at(105), HOLDING)
    assert cluster.status["phase"] == "Running"
    assert writes(cluster) <= before + 2, "at most that its pods are created, and that it runs"


def test_pods_that_came_back_are_waited_for_and_told_to_stop():
    cluster = retried()
    cluster.acknowledge(2)
    again = pod("teach-sft-1-master-0", "master", 0, 1, cluster.job["metadata"]["uid"], at(99))
    cluster.pod_objects["teach-sft-1-master-0"] = again
    cluster.graceful = True
    assert settle(cluster, at(101), HOLDING).requeue_after == 1
    assert cluster.condition("Running")["reason"] == "WaitingForPods"
    assert "deletionTimestamp" in again["metadata"]
    settle(cluster, at(102), HOLDING)
    assert suspended(cluster)
    del cluster.pod_objects["teach-sft-1-master-0"]
    settle(cluster, at(103), HOLDING)
    assert not suspended(cluster)
    assert cluster.condition("Running")["reason"] == "Starting"


def test_that_nobody_takes_note_is_told_after_a_while():
    cluster = retried()
    settle(cluster, at(100 + HOLDING.held_quiet_seconds), HOLDING)
    running = cluster.condition("Running")
    assert running["reason"] == "WaitingForTrainingOperator"
    assert SECOND in running["message"]
    assert ("Warning", "WaitingForTrainingOperator") in [(kind, reason) for kind, reason, _ in cluster.events]
    cluster.acknowledge(2)
    settle(cluster, at(200), HOLDING)
    assert not suspended(cluster)
    assert cluster.condition("Running")["reason"] == "Starting"


def test_one_with_a_queue_is_the_queues():
    cluster = FakeCluster(job(queueName="gpus"))
    once(cluster, at(0), settings=HOLDING)
    (child,) = cluster.children.values()
    child["spec"]["runPolicy"]["suspend"] = False
    cluster.kueue[child["metadata"]["uid"]] = admitted(at(1))
    (master,) = cluster.run_pods(1)
    once(cluster, at(2), settings=HOLDING)
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(20), HOLDING)
    settle(cluster, at(100), HOLDING)
    cluster.acknowledge(2)
    settle(cluster, at(101), HOLDING)
    assert suspended(cluster)
    assert HELD not in cluster.children[SECOND]["metadata"]["annotations"]
    assert cluster.status["phase"] == "Queued"


def test_an_operator_that_ended_before_it_recorded_the_attempt_releases_it_all_the_same():
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(20), HOLDING)
    cluster.faults["write_status"] = [ClusterError("killed")]
    settle(cluster, at(100), HOLDING)
    assert len(cluster.status["attempts"]) == 1
    cluster.acknowledge(2)
    settle(cluster, at(101), HOLDING)
    assert not suspended(cluster)
    assert reasons(cluster) == ["CudaOOM", None]


def test_a_job_that_is_suspended_meanwhile_takes_it_away():
    cluster = retried()
    cluster.change_spec(runPolicy={"suspend": True})
    settle(cluster, at(101), HOLDING)
    assert cluster.children == {}
    settle(cluster, at(102), HOLDING)
    assert cluster.status["phase"] == "Suspended"


@pytest.mark.parametrize("acknowledged", [True, False])
def test_one_that_somebody_released_by_hand_goes_on(acknowledged):
    cluster = retried()
    if acknowledged:
        cluster.acknowledge(2)
    cluster.children[SECOND]["spec"]["runPolicy"]["suspend"] = False
    cluster.now = at(101)
    cluster.run_pods(2)
    settle(cluster, at(102), HOLDING)
    assert cluster.status["phase"] == "Running"


def test_one_that_somebody_suspends_later_is_not_released_again():
    cluster = retried()
    cluster.acknowledge(2)
    settle(cluster, at(101), HOLDING)
    cluster.children[SECOND]["spec"]["runPolicy"]["suspend"] = True
    once(cluster, at(102), settings=HOLDING)
    assert suspended(cluster)
    assert cluster.status["phase"] == "Queued"


def test_a_cluster_that_refuses_the_release_is_asked_again():
    cluster = retried()
    cluster.acknowledge(2)
    cluster.faults["release_pytorchjob"] = [ClusterError("try later")]
    settle(cluster, at(101), HOLDING)
    assert suspended(cluster)
    settle(cluster, at(120), HOLDING)
    assert not suspended(cluster)
