"""The whole loop: suspension, specs that change, deadlines, cleaning up, and jobs that wait for others."""

import pytest
from fake_cluster import UID, FakeCluster, at, checkpoint, failure, job, success
from loop import once, reasons, settle, started
from observations import SETTINGS

from kubetune_trainer.contract import FailureClass, Progress


def test_suspend_reads_the_last_words_and_resume_goes_on_without_counting():
    cluster, (master,) = started()
    cluster.graceful = True
    cluster.change_spec(runPolicy={"suspend": True})
    once(cluster, at(20))
    assert "teach-sft-1" in cluster.children
    assert cluster.condition("Suspended")["reason"] == "Suspending"
    once(cluster, at(20))
    assert cluster.children == {}
    assert once(cluster, at(22)).requeue_after == 1
    assert cluster.status["phase"] == "Running", "its pod still saves"
    saved = checkpoint(15, kind="full-state", time=at(25))
    cluster.report(checkpoints=[saved.model_dump(mode="json", by_alias=True, exclude_none=True)])
    cluster.now = at(26)
    cluster.end_pod(master, 143, failure(FailureClass.PREEMPTED, step=15))
    settle(cluster, at(27))
    assert cluster.status["phase"] == "Suspended"
    assert reasons(cluster) == ["Suspended"]
    assert cluster.status["attempts"][0]["lastStep"] == 15
    assert cluster.condition("Suspended")["status"] == "True"
    assert cluster.condition("Reconciling")["status"] == "False"
    del cluster.pod_objects[master]
    settle(cluster, at(400))
    assert cluster.children == {}
    cluster.change_spec(runPolicy={"suspend": False})
    settle(cluster, at(500))
    assert cluster.status["restarts"] == 0
    assert cluster.status["attempts"][1]["resumedFrom"] == saved.uri
    assert cluster.condition("Suspended")["status"] == "False"
    assert cluster.status["goodput"]["waiting"] == 473


def test_suspend_taken_back_while_stopping_is_no_lost_attempt():
    cluster, (master,) = started()
    cluster.graceful = True
    cluster.change_spec(runPolicy={"suspend": True})
    once(cluster, at(20))
    once(cluster, at(20))
    cluster.change_spec(runPolicy={"suspend": False})
    once(cluster, at(21))
    del cluster.pod_objects[master]
    settle(cluster, at(22))
    assert reasons(cluster) == ["Suspended", None]
    assert cluster.status["restarts"] == 0


def test_suspend_does_not_wait_for_a_lost_nodes_pods_for_ever():
    cluster, _ = started()
    cluster.graceful = True
    cluster.change_spec(runPolicy={"suspend": True})
    settle(cluster, at(20))
    settle(cluster, at(20 + 30 + SETTINGS.termination_slack_seconds - 1))
    assert cluster.status["phase"] == "Running"
    settle(cluster, at(20 + 30 + SETTINGS.termination_slack_seconds + 1))
    assert cluster.status["phase"] == "Suspended"


def test_suspend_does_not_wait_for_a_node_that_kubernetes_calls_lost():
    cluster, (master,) = started()
    cluster.graceful = True
    cluster.change_spec(runPolicy={"suspend": True})
    settle(cluster, at(20))
    lost = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    cluster.pod_objects[master]["status"]["conditions"] = [lost]
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Suspended"


def failed_with_a_worker_that_runs_on() -> tuple[FakeCluster, str]:
    """The master has failed, the worker takes its time to stop."""
    cluster, (master, worker) = started(nodes=2)
    cluster.graceful = True
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(20))
    assert cluster.children == {}
    del cluster.pod_objects[master]
    return cluster, worker


def test_the_next_attempt_waits_for_the_last_ones_pods():
    cluster, worker = failed_with_a_worker_that_runs_on()
    assert settle(cluster, at(40)).requeue_after == 1
    assert cluster.children == {}, "two gangs of one job must not run at once"
    assert cluster.condition("Reconciling")["reason"] == "WaitingForPods"
    assert worker in cluster.condition("Reconciling")["message"]
    del cluster.pod_objects[worker]
    settle(cluster, at(41))
    assert list(cluster.children) == ["teach-sft-2"]


def test_the_next_attempt_waits_no_longer_than_a_pod_may_take():
    cluster, _ = failed_with_a_worker_that_runs_on()
    settle(cluster, at(20 + 30 + SETTINGS.termination_slack_seconds - 1))
    assert cluster.children == {}
    settle(cluster, at(20 + 30 + SETTINGS.termination_slack_seconds + 1))
    assert list(cluster.children) == ["teach-sft-2"]


def test_the_next_attempt_does_not_wait_for_a_lost_node():
    cluster, worker = failed_with_a_worker_that_runs_on()
    lost = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    cluster.pod_objects[worker]["status"]["conditions"] = [lost]
    settle(cluster, at(40))
    assert list(cluster.children) == ["teach-sft-2"]


def test_pods_that_nobody_told_to_stop_are_told():
    cluster, worker = failed_with_a_worker_that_runs_on()
    del cluster.pod_objects[worker]["metadata"]["deletionTimestamp"]
    cluster.graceful = False
    settle(cluster, at(40))
    assert cluster.calls[-2] == ("delete-pod", worker)
    settle(cluster, at(41))
    assert list(cluster.children) == ["teach-sft-2"]


def test_a_job_created_suspended_starts_when_told():
    cluster = FakeCluster(job(runPolicy={"suspend": True}))
    settle(cluster, at(0))
    assert cluster.status["phase"] == "Suspended"
    assert cluster.children == {}
    cluster.change_spec(runPolicy={})
    settle(cluster, at(10))
    assert list(cluster.children) == ["teach-sft-1"]


def test_an_invalid_spec_fails_until_it_is_mended():
    cluster = FakeCluster(job(training={"learningRat": 1}))
    settle(cluster, at(0))
    assert cluster.status["phase"] == "Failed"
    assert cluster.condition("Valid") | {"lastTransitionTime": None} == {
        "type": "Valid",
        "status": "False",
        "reason": "InvalidSpec",
        "message": cluster.condition("Valid")["message"],
        "observedGeneration": 1,
        "lastTransitionTime": None,
    }
    assert "learningRat" in cluster.condition("Valid")["message"]
    assert cluster.children == {}
    assert cluster.status["failure"]["class"] == "UserError"
    before = cluster.status
    settle(cluster, at(100))
    assert cluster.status == before
    cluster.change_spec(training={})
    settle(cluster, at(200))
    assert cluster.status["phase"] == "Starting"
    assert "failure" not in cluster.status
    assert "completionTime" not in cluster.status
    assert list(cluster.children) == ["teach-sft-1"]


def test_a_changed_training_spec_is_refused_and_the_attempt_goes_on():
    cluster, (master,) = started()
    cluster.change_spec(training={"numEpochs": 5})
    once(cluster, at(20))
    valid = cluster.condition("Valid")
    assert (valid["status"], valid["reason"], valid["observedGeneration"]) == ("False", "SpecChanged", 2)
    assert "spec.training.numEpochs" in valid["message"]
    assert "restore it" in valid["message"]
    assert cluster.status["phase"] == "Running"
    assert ("Warning", "SpecChanged", valid["message"]) in cluster.events
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(30))
    settle(cluster, at(100))
    assert cluster.children == {}, "another training must not go on from this one's checkpoints"
    assert cluster.condition("Stalled")["reason"] == "SpecChanged"
    assert "spec.training.numEpochs" in cluster.condition("Valid")["message"]
    cluster.change_spec(training={"numEpochs": 3})
    settle(cluster, at(200))
    assert list(cluster.children) == ["teach-sft-2"]
    assert cluster.condition("Valid")["status"] == "True"


def test_run_policy_may_be_changed_at_any_time():
    cluster, _ = started()
    cluster.change_spec(runPolicy={"backoffLimit": 9})
    once(cluster, at(20))
    assert cluster.condition("Valid")["status"] == "True"


def test_somebody_elses_pytorchjob_is_not_touched():
    cluster = FakeCluster(job())
    foreign = {"metadata": {"name": "teach-sft-1", "uid": "x", "ownerReferences": [{"uid": "other"}]}, "spec": {"mine": True}}
    cluster.children["teach-sft-1"] = foreign
    settle(cluster, at(0))
    settle(cluster, at(100))
    assert cluster.children == {"teach-sft-1": foreign}
    assert cluster.status["phase"] == "Failed"
    assert "teach-sft-1" in cluster.condition("Failed")["message"]
    assert "attempts" not in cluster.status or cluster.status["attempts"] == []


def test_an_earlier_job_of_the_same_name_is_waited_for():
    old = FakeCluster(job(uid="11111111-0000-4000-8000-000000000000"))
    once(old, at(0))
    cluster = FakeCluster(job())
    cluster.children = old.children
    assert settle(cluster, at(10)).requeue_after == 2
    assert cluster.status["phase"] == "Pending"
    assert cluster.condition("Running")["reason"] == "WaitingForCleanup"
    cluster.children = {}  # the garbage collector
    settle(cluster, at(12))
    assert cluster.children["teach-sft-1"]["metadata"]["ownerReferences"][0]["uid"] == UID


@pytest.mark.parametrize(("made", "taken"), [(-50, True), (50, False)])
def test_an_earlier_jobs_child_that_the_garbage_collector_forgot_is_removed(made: int, taken: bool):
    """Only if it is older than this job: should this one be the stale view of a job that was made anew, the child is its successor's."""
    old = FakeCluster(job(uid="11111111-0000-4000-8000-000000000000"))
    once(old, at(0))
    cluster = FakeCluster(job())
    cluster.children = old.children
    cluster.children["teach-sft-1"]["metadata"]["creationTimestamp"] = at(made).isoformat()
    cluster.job["metadata"]["creationTimestamp"] = at(0).isoformat()
    once(cluster, at(59))
    assert "11111111" in cluster.children["teach-sft-1"]["metadata"]["ownerReferences"][0]["uid"]
    settle(cluster, at(61))
    assert ("teach-sft-1" not in cluster.children) is taken
    settle(cluster, at(63))
    assert (cluster.children["teach-sft-1"]["metadata"]["ownerReferences"][0]["uid"] == UID) is taken


@pytest.mark.parametrize("edit", [{"name": "another"}, {"kind": "OSFTJob"}, {"uid": "2"}])
def test_a_child_that_has_an_owner_beside_an_earlier_job_of_this_name_is_not_removed(edit: dict[str, str]):
    old = FakeCluster(job(uid="11111111-0000-4000-8000-000000000000"))
    once(old, at(0))
    cluster = FakeCluster(job())
    cluster.children = old.children
    metadata = cluster.children["teach-sft-1"]["metadata"]
    metadata["creationTimestamp"] = at(-50).isoformat()
    metadata["ownerReferences"][0] |= edit
    settle(cluster, at(100))
    assert cluster.children["teach-sft-1"]["metadata"] is metadata
    assert cluster.condition("Running")["reason"] == "WaitingForCleanup"


def test_a_hang_is_a_gang_restart():
    cluster, (master,) = started(runPolicy={"progressDeadlineSeconds": 60})
    progress = Progress(step=3, updated_time=at(50)).model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.report(progress=progress)
    assert once(cluster, at(110)).requeue_after == 20  # the trainer has its time to end by itself, and to say where it hangs
    assert cluster.status["phase"] == "Running"
    settle(cluster, at(130))
    assert reasons(cluster) == ["Hang"]
    assert "since step 3" in cluster.status["failure"]["message"]
    assert master not in cluster.pod_objects


def test_the_active_deadline_is_final_and_stops_the_pods():
    cluster, (master,) = started(runPolicy={"activeDeadlineSeconds": 60, "cleanPodPolicy": "None"})
    assert once(cluster, at(40)).requeue_after == 20
    settle(cluster, at(60))
    assert cluster.status["phase"] == "Failed"
    assert cluster.status["failure"]["class"] == "DeadlineExceeded"
    assert cluster.calls[-1] == ("delete-pod", master)


@pytest.mark.parametrize(
    ("policy", "left"),
    [("None", {"teach-sft-1-master-0", "teach-sft-1-worker-0"}), ("Running", {"teach-sft-1-master-0"}), ("All", set())],
)
def test_clean_pod_policy_acts_after_the_outcome_was_written(policy, left):
    cluster, (master, _worker) = started(nodes=2, runPolicy={"cleanPodPolicy": policy})
    cluster.end_pod(master, 0, success())
    once(cluster, at(30))
    assert cluster.status["phase"] == "Succeeded"
    assert settle(cluster, at(31)).requeue_after == 29  # the worker may end by itself: the master is only a moment ahead
    assert len(cluster.pod_objects) == 2
    settle(cluster, at(60))
    assert set(cluster.pod_objects) == left
    assert bool(cluster.children) == (policy != "All")


@pytest.mark.parametrize("delete_job", [False, True])
def test_ttl_removes_children_and_the_job_only_if_asked(delete_job):
    cluster, (master,) = started(runPolicy={"ttlSecondsAfterFinished": 60, "deleteJob": delete_job})
    cluster.end_pod(master, 0, success())
    assert settle(cluster, at(30)).requeue_after == 60
    assert list(cluster.children) == ["teach-sft-1"]
    settle(cluster, at(90))
    assert cluster.children == {}
    assert bool(cluster.jobs) != delete_job
    if not delete_job:
        assert cluster.status["phase"] == "Succeeded"


def upstream_job(**status) -> dict:
    first = job(name="first", uid="22222222-0000-4000-8000-000000000000")
    return first | ({"status": status} if status else {})


def waiting(first: dict | None) -> FakeCluster:
    second = job(resumeFrom={"jobRef": {"name": "first"}})
    del second["spec"]["model"]
    return FakeCluster(*([second, first] if first else [second]))


def test_a_job_waits_for_the_job_that_it_starts_from():
    cluster = waiting(None)
    assert settle(cluster, at(0)).requeue_after == 15
    assert cluster.status["phase"] == "Pending"
    assert cluster.condition("Running")["reason"] == "WaitingForJob"
    assert "does not exist" in cluster.condition("Running")["message"]
    cluster = waiting(upstream_job(phase="Running"))
    settle(cluster, at(0))
    assert "which is Running" in cluster.condition("Running")["message"]
    assert cluster.children == {}


def test_it_starts_from_that_jobs_final_checkpoint():
    final = checkpoint(30).model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster = waiting(upstream_job(phase="Succeeded", finalCheckpoint=final))
    settle(cluster, at(0))
    assert cluster.status["phase"] == "Starting"
    assert "/kubetune/volumes/runs/job/attempt-1/hf/30" in str(cluster.children["teach-sft-1"])


def test_it_fails_if_that_job_failed():
    cluster = waiting(upstream_job(phase="Failed"))
    settle(cluster, at(0))
    assert cluster.status["phase"] == "Failed"
    assert "first has Failed" in cluster.condition("Failed")["message"]
    assert cluster.children == {}
