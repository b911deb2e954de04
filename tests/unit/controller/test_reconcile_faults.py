"""The whole loop where the cluster refuses, lags or the operator dies."""

from fake_cluster import NOW, FakeCluster, at, failure, job, stamp
from loop import once, settle, started

from kubetune.cluster import ClusterError
from kubetune.controller.reconcile import Outcome
from kubetune_trainer.contract import FailureClass


def test_a_crash_between_creating_and_recording_makes_no_second_child():
    cluster = FakeCluster(job())
    cluster.faults["write_status"] = [ClusterError("the operator was killed")]
    outcome = once(cluster, at(0))
    assert outcome.error == "the operator was killed"
    assert cluster.status == {}
    cluster.change_spec(training={"numEpochs": 9})  # even a change in between is seen for what it is
    once(cluster, at(60))
    assert list(cluster.children) == ["teach-sft-1"]
    assert [call for call in cluster.calls if call[0] == "apply"] == [("apply", "teach-sft-1")]
    assert cluster.status["attempts"] == [{"number": 1, "pyTorchJob": "teach-sft-1", "started": stamp(NOW)}]
    assert cluster.condition("Valid")["reason"] == "SpecChanged"


def test_a_crash_after_creating_a_retry_does_not_lose_the_count():
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(30))
    cluster.faults["write_status"] = [ClusterError("the operator was killed")]
    once(cluster, at(60))
    assert list(cluster.children) == ["teach-sft-2"]
    assert cluster.status["restarts"] == 0
    once(cluster, at(61))
    assert cluster.status["restarts"] == 1
    assert [a["number"] for a in cluster.status["attempts"]] == [1, 2]


def test_a_conflict_is_tried_again_soon_and_counts_nothing_twice():
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    cluster.faults["write_status"] = [ClusterError("conflict", status=409)]
    assert once(cluster, at(30)) == Outcome(0.5)
    settle(cluster, at(31))
    assert [reason for _, reason, _ in cluster.events] == ["AttemptFailed"]
    settle(cluster, at(60))
    assert cluster.status["restarts"] == 1
    assert [a["number"] for a in cluster.status["attempts"]] == [1, 2]


def test_a_refused_creation_reaches_the_status_and_is_tried_again():
    cluster = FakeCluster(job())
    cluster.faults["apply_pytorchjob"] = [ClusterError("exceeded quota: gpu", status=403, retryable=False)]
    outcome = once(cluster, at(0))
    assert outcome.requeue_after == 15
    assert cluster.status["phase"] == "Pending"
    assert cluster.condition("Running")["reason"] == "CreateFailed"
    assert "exceeded quota" in cluster.condition("Stalled")["message"]
    assert not cluster.status.get("attempts")
    once(cluster, at(15))
    assert cluster.status["phase"] == "Starting"
    assert cluster.condition("Stalled")["status"] == "False"
    assert cluster.status["startTime"] == stamp(at(15))


def test_a_refused_deletion_is_said_and_tried_again():
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    cluster.faults["delete_pytorchjob"] = [ClusterError("timeout")]
    assert settle(cluster, at(30)).error == "timeout"
    assert cluster.condition("Running")["reason"] == "DeleteFailed"
    assert cluster.status["phase"] == "Restarting"
    settle(cluster, at(31))
    assert cluster.children == {}


def test_a_read_that_fails_decides_nothing():
    cluster, _ = started()
    before = cluster.status
    cluster.faults["pods"] = [ClusterError("connection refused")]
    assert once(cluster, at(30)) == Outcome(15, "connection refused")
    assert cluster.status == before


def test_a_status_that_cannot_be_read_does_not_restart_the_count():
    cluster, _ = started()
    cluster.job["status"]["attempts"][0]["number"] = "one"
    outcome = once(cluster, at(30))
    assert "status.attempts" in (outcome.error or "")
    assert list(cluster.children) == ["teach-sft-1"]


def test_the_log_of_a_pod_that_left_no_outcome_is_in_the_failure():
    cluster, (master,) = started(runPolicy={"backoffLimit": 0})
    cluster.logs[master] = "\n".join(f"line {n}" for n in range(1000)) + "\nRuntimeError: boom"
    cluster.end_pod(master, 1)
    settle(cluster, at(30))
    assert cluster.status["failure"]["class"] == "BackendError"
    assert cluster.status["failure"]["logTail"].endswith("RuntimeError: boom")
    assert len(cluster.status["failure"]["logTail"].splitlines()) == 60


def test_an_unreadable_log_is_no_obstacle():
    cluster, (master,) = started(runPolicy={"backoffLimit": 0})
    cluster.faults["log_tail"] = [ClusterError("no kubelet")]
    cluster.end_pod(master, 1)
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Failed"
    assert "logTail" not in cluster.status["failure"]


def test_the_kubelet_of_a_lost_node_is_not_asked_for_a_log():
    cluster, (master,) = started(runPolicy={"backoffLimit": 0})
    cluster.faults["log_tail"] = [ClusterError("it would be waited for")]
    lost = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    cluster.pod_objects[master]["status"]["conditions"] = [lost]
    cluster.pod_objects[master]["metadata"]["deletionTimestamp"] = stamp(at(40))
    settle(cluster, at(30))
    assert cluster.status["failure"]["class"] == "NodeLost"
    assert len(cluster.faults["log_tail"]) == 1
