"""Jobs with a queue, stepped by hand: the fake plays Kueue and the training operator."""

from __future__ import annotations

from typing import Any

import pytest
from fake_cluster import FakeCluster, at, checkpoint, job, success
from loop import once, settle
from workloads import NO_ROOM, admitted, evicted, pending

from kubetune.cluster import ClusterError, Queueing

CHILD = "teach-sft-1"


def queued(**spec: Any) -> FakeCluster:
    """Put into its queue at second 0."""
    cluster = FakeCluster(job(queueName="gpus", **spec))
    once(cluster, at(0))
    return cluster


def say(cluster: FakeCluster, seen: Queueing, attempt: int = 1) -> None:
    cluster.kueue[cluster.children[f"teach-sft-{attempt}"]["metadata"]["uid"]] = seen


def suspend(cluster: FakeCluster, attempt: int = 1, *, wanted: bool) -> None:
    cluster.children[f"teach-sft-{attempt}"]["spec"]["runPolicy"]["suspend"] = wanted


def admit(cluster: FakeCluster, second: float, attempt: int = 1) -> None:
    """Its pods run, and the operator knows."""
    say(cluster, admitted(at(second)), attempt)
    suspend(cluster, attempt, wanted=False)
    cluster.now = at(second)
    cluster.run_pods(attempt)
    once(cluster, at(second + 1))


def preempt(cluster: FakeCluster, second: float, attempt: int = 1, **how: Any) -> None:
    """Kueue suspends the PyTorchJob, the training operator deletes its pods."""
    say(cluster, evicted(at(second), **how), attempt)
    suspend(cluster, attempt, wanted=True)
    cluster.now = at(second)
    for name in [n for n in cluster.pod_objects if n.startswith(f"teach-sft-{attempt}-")]:
        cluster.take_pod(name)


def attempts(cluster: FakeCluster) -> list[tuple[str | None, int | None]]:
    return [(a.get("reason"), a.get("queued")) for a in cluster.status["attempts"]]


def children(cluster: FakeCluster) -> list[str]:
    return sorted(cluster.children)


def test_it_waits_with_the_reason_and_time_in_the_queue_is_counted_apart():
    cluster = queued()
    assert cluster.children[CHILD]["spec"]["runPolicy"]["suspend"] is True
    assert cluster.status["phase"] == "Queued"
    say(cluster, pending(positionInLocalQueue=2, positionInClusterQueue=2))
    assert settle(cluster, at(2)).requeue_after == 2
    assert cluster.condition("Admitted")["message"] == f"3rd in queue gpus; {NO_ROOM}"
    assert settle(cluster, at(40)).requeue_after == 30
    admit(cluster, 100)
    assert cluster.status["phase"] == "Running"
    assert cluster.condition("Admitted")["status"] == "True"
    assert attempts(cluster) == [(None, 100)]
    assert [reason for _, reason, _ in cluster.events] == ["Queued", "Admitted"]


def test_a_message_that_stays_is_written_once():
    cluster = queued()
    say(cluster, pending())
    for second in (2, 32, 62):
        once(cluster, at(second))
    assert [what for what, _ in cluster.calls].count("status") == 2


def test_preempted_it_is_not_counted_and_goes_on_from_its_checkpoint():
    cluster = queued(runPolicy={"backoffLimit": 0})
    admit(cluster, 100)
    cluster.report(checkpoints=[checkpoint(6, kind="full-state", time=at(150)).model_dump(mode="json", by_alias=True)])
    preempt(cluster, 200)
    once(cluster, at(200))
    assert cluster.status["phase"] == "Restarting"
    assert cluster.status["failure"]["class"] == "Preempted"
    assert cluster.status["failure"]["reason"] == "Preempted"
    assert settle(cluster, at(201)).requeue_after == 2, "at once: the queue is the back-off"
    assert children(cluster) == ["teach-sft-2"]
    assert cluster.status["phase"] == "Queued"
    assert cluster.status["attempts"][1]["resumedFrom"] == checkpoint(6, kind="full-state").uri
    admit(cluster, 500, attempt=2)
    assert attempts(cluster) == [("Preempted", 100), (None, 299)]
    cluster.now = at(600)
    cluster.end_pod("teach-sft-2-master-0", 0, success(2))
    settle(cluster, at(600))
    assert cluster.status["phase"] == "Succeeded"
    assert cluster.status.get("restarts", 0) == 0
    assert cluster.status["goodput"] == {"queued": 100, "training": 150, "lost": 50, "waiting": 300}


def test_the_last_words_of_a_preempted_pod_are_waited_for():
    cluster = queued()
    cluster.graceful = True
    admit(cluster, 10)
    preempt(cluster, 20)
    assert once(cluster, at(20)).requeue_after == 1
    assert attempts(cluster) == [(None, 10)]
    assert children(cluster) == [CHILD], "nothing new runs beside the old pods"
    cluster.pod_objects.clear()
    settle(cluster, at(25))
    assert attempts(cluster)[0] == ("Preempted", 10)
    assert children(cluster) == ["teach-sft-2"]


@pytest.mark.parametrize("evidence", ["the workload", "its pods"])
def test_pods_that_kueue_takes_are_no_lost_node(evidence):
    """The PyTorchJob was read before it was suspended, the pods after that."""
    cluster = queued()
    if evidence == "the workload":
        admit(cluster, 10)
    else:  # admitted and evicted before the operator looked
        cluster.now = at(10)
        cluster.run_pods(1)
    cluster.graceful = True
    preempt(cluster, 20)
    suspend(cluster, wanted=False)
    once(cluster, at(20))
    cluster.pod_objects.clear()
    suspend(cluster, wanted=True)
    for second in (21, 22):
        once(cluster, at(second))
    assert "NodeLost" not in [reason for reason, _ in attempts(cluster)]
    assert cluster.status.get("restarts", 0) == 0


def test_a_look_between_admission_and_its_first_pod_is_no_preemption():
    """The PyTorchJob was read while it was suspended, its pods and its Workload a moment later."""
    cluster = queued()
    say(cluster, admitted(at(10)))
    cluster.now = at(10)
    cluster.run_pods(1)
    once(cluster, at(10))
    assert attempts(cluster) == [(None, None)]
    suspend(cluster, wanted=False)
    once(cluster, at(11))
    assert attempts(cluster) == [(None, 10)]


def test_admitted_again_behind_our_back_it_is_another_attempt():
    """The operator was down: the same PyTorchJob runs with what it was told the first time."""
    cluster = queued()
    admit(cluster, 10)
    say(cluster, admitted(at(60)))
    settle(cluster, at(70))
    assert attempts(cluster) == [("Preempted", 10)]
    for name in list(cluster.pod_objects):
        cluster.take_pod(name)
    settle(cluster, at(80))
    assert attempts(cluster) == [("Preempted", 10), (None, None)]
    assert children(cluster) == ["teach-sft-2"]


def test_a_deactivated_workload_is_not_got_round():
    cluster = queued()
    admit(cluster, 10)
    preempt(cluster, 20, reason="Deactivated", message="The workload is deactivated", active=False)
    settle(cluster, at(20))
    assert attempts(cluster) == [("Preempted", 10)]
    assert (cluster.status["phase"], children(cluster)) == ("Queued", [CHILD])
    assert cluster.condition("Admitted")["reason"] == "WorkloadDeactivated"
    cluster.faults["queueing"] = [ClusterError("Kueue is away")]
    once(cluster, at(25))
    assert children(cluster) == [CHILD], "nor while nobody can tell"
    say(cluster, evicted(at(20), "Deactivated"))
    settle(cluster, at(30))
    assert children(cluster) == ["teach-sft-2"]


def test_a_running_attempt_goes_on_though_kueue_does_not_answer():
    cluster = queued()
    admit(cluster, 10)
    cluster.faults["queueing"] = [ClusterError("Kueue is away")] * 3
    once(cluster, at(20))
    assert cluster.status["phase"] == "Running"
    cluster.now = at(30)
    cluster.end_pod("teach-sft-1-master-0", 0, success())
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Succeeded"


def test_a_pod_that_fails_by_itself_is_counted_with_a_queue_too():
    cluster = queued(runPolicy={"backoffLimit": 0})
    admit(cluster, 10)
    cluster.now = at(20)
    cluster.end_pod("teach-sft-1-master-0", 1)
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Failed"
    assert cluster.status["failure"]["class"] == "BackendError"


def test_time_in_the_queue_is_not_active_time():
    cluster = queued(runPolicy={"activeDeadlineSeconds": 60})
    say(cluster, pending())
    settle(cluster, at(1000))
    assert cluster.status["phase"] == "Queued"
    admit(cluster, 2000)
    settle(cluster, at(2059))
    assert cluster.status["phase"] == "Running"
    settle(cluster, at(2060))
    assert cluster.status["failure"]["class"] == "DeadlineExceeded"


def test_suspended_while_queued_the_wait_is_still_no_active_time():
    cluster = queued(runPolicy={"activeDeadlineSeconds": 60})
    say(cluster, pending())
    once(cluster, at(500))
    cluster.change_spec(runPolicy={"activeDeadlineSeconds": 60, "suspend": True})
    settle(cluster, at(500))
    settle(cluster, at(501))
    assert (cluster.status["phase"], children(cluster)) == ("Suspended", [])
    assert attempts(cluster) == [("Suspended", 501)]
    cluster.change_spec(runPolicy={"activeDeadlineSeconds": 60})
    settle(cluster, at(900))
    admit(cluster, 1000, attempt=2)
    settle(cluster, at(1059))
    assert cluster.status["phase"] == "Running"
    settle(cluster, at(1060))
    assert cluster.status["phase"] == "Failed"


def test_without_a_queue_kueue_is_never_asked():
    cluster = FakeCluster(job())
    cluster.faults["queueing"] = [ClusterError("nobody may ask")]
    once(cluster, at(0))
    cluster.run_pods(1)
    once(cluster, at(5))
    assert cluster.faults["queueing"]
    assert cluster.status["phase"] == "Running"


def test_without_kueue_the_job_says_so_and_does_not_run():
    cluster = queued()
    say(cluster, Queueing(installed=False))
    once(cluster, at(2))
    assert cluster.condition("Admitted")["reason"] == "KueueMissing"
    assert cluster.children[CHILD]["spec"]["runPolicy"]["suspend"] is True
