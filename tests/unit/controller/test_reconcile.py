"""The whole loop against a cluster in memory: what a user sees in the status, and what was done to the cluster."""

import asyncio
from datetime import datetime

import pytest
from fake_cluster import NOW, UID, FakeCluster, at, checkpoint, failure, job, stamp, success

from kubetune.cluster import ClusterError
from kubetune.controller.reconcile import Outcome, reconcile
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings
from kubetune_trainer.contract import FailureClass, Progress

SETTINGS = ControllerSettings(render=RenderSettings(image="trainer:1"))


def once(cluster: FakeCluster, now: datetime, kind: str | None = None, name: str | None = None) -> Outcome:
    cluster.now = now
    subject = cluster.job
    return asyncio.run(reconcile(cluster, kind or subject["kind"], "default", name or subject["metadata"]["name"], now, SETTINGS))


def settle(cluster: FakeCluster, now: datetime) -> Outcome:
    """Until there is nothing more to do at once."""
    for _ in range(10):
        outcome = once(cluster, now)
        if outcome.requeue_after != 0:
            return outcome
    raise AssertionError(f"it never rests: {cluster.status}")


def started(*, nodes: int = 1, kind: str = "SFTJob", **spec) -> tuple[FakeCluster, list[str]]:
    """A job whose first attempt runs since second 5."""
    cluster = FakeCluster(job(kind, nodes=nodes, **spec))
    once(cluster, at(0))
    cluster.now = at(5)
    pods = cluster.run_pods(1, nodes)
    once(cluster, at(6))
    assert cluster.status["phase"] == "Running"
    return cluster, pods


def reasons(cluster: FakeCluster) -> list[str]:
    return [a.get("reason") for a in cluster.status["attempts"]]


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_a_new_job_gets_one_child_and_the_status_says_so(kind):
    cluster = FakeCluster(job(kind))
    once(cluster, at(0))
    algorithm = kind.removesuffix("Job").lower()
    name = f"teach-{algorithm}-1"
    assert cluster.calls == [("apply", name), ("status", "Starting")]
    child = cluster.children[name]
    assert child["metadata"]["ownerReferences"][0]["uid"] == UID
    status = cluster.status
    assert status["attempts"] == [{"number": 1, "pyTorchJob": name, "started": stamp(NOW)}]
    assert status["startTime"] == stamp(NOW)
    assert len(status["specHash"]) == 64
    assert status["restarts"] == 0
    assert cluster.condition("Valid")["status"] == "True"
    assert cluster.condition("Reconciling")["status"] == "True"
    assert [reason for _, reason, _ in cluster.events] == ["AttemptStarted"]


def test_reconciling_the_same_world_twice_changes_nothing():
    cluster, _ = started()
    before, calls = cluster.status, list(cluster.calls)
    once(cluster, at(20))
    assert cluster.status == before
    assert cluster.calls == calls


def test_success_needs_the_trainers_word_and_is_final():
    cluster, (master,) = started()
    cluster.now = at(100)
    cluster.end_pod(master, 0, success())
    settle(cluster, at(101))
    status = cluster.status
    assert status["phase"] == "Succeeded"
    assert status["finalCheckpoint"]["uri"] == success().checkpoint.uri
    assert status["completionTime"] == stamp(at(101))
    assert status["attempts"][0]["reason"] == "Succeeded"
    assert status["attempts"][0]["lastStep"] == 30
    assert status["goodput"] == {"queued": 5, "training": 96, "lost": 0, "waiting": 0}
    assert cluster.condition("Succeeded")["status"] == "True"
    assert "step 30 of 30" in cluster.condition("Succeeded")["message"]
    for kind in ("Reconciling", "Stalled", "Failed", "Running"):
        assert cluster.condition(kind)["status"] == "False"


def test_a_finished_jobs_child_is_never_made_again():
    cluster, (master,) = started()
    cluster.end_pod(master, 0, success())
    settle(cluster, at(101))
    before = cluster.status
    cluster.remove_child("teach-sft-1")
    applied = cluster.calls.count(("apply", "teach-sft-1"))
    settle(cluster, at(5000))
    assert cluster.calls.count(("apply", "teach-sft-1")) == applied
    assert cluster.children == {}
    assert cluster.status == before


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (None, "left no outcome"),
        ("Segmentation fault", "is no outcome"),
        (success(attempt=9), "of attempt 9"),
        (success().model_copy(update={"reached_end": False, "step": 12}), "stopped at step 12 of 30"),
        (success().model_copy(update={"checkpoint": checkpoint(verified=False)}), "not verified"),
    ],
    ids=["none", "garbage", "another attempt's", "too early", "unverified"],
)
def test_exit_0_without_reached_end_is_a_failure(outcome, said):
    cluster, (master,) = started(runPolicy={"backoffLimit": 0})
    cluster.end_pod(master, 0, outcome)
    cluster.children["teach-sft-1"]["status"] = {"conditions": [{"type": "Succeeded", "status": "True"}]}
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Failed"
    assert cluster.status["failure"]["class"] == "BackendError"
    assert cluster.status["failure"]["message"].startswith("exit 0 without reachedEnd")
    assert said in cluster.status["failure"]["message"]
    assert "finalCheckpoint" not in cluster.status


def test_a_succeeded_pytorchjob_whose_pods_are_gone_is_no_success():
    cluster, (master,) = started(runPolicy={"backoffLimit": 0})
    del cluster.pod_objects[master]
    cluster.children["teach-sft-1"]["status"] = {"conditions": [{"type": "Succeeded", "status": "True"}]}
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Failed"
    assert "pod is gone" in cluster.status["failure"]["message"]


@pytest.mark.parametrize("kind", [FailureClass.USER_ERROR, FailureClass.DATA_ERROR])
def test_the_users_errors_are_not_retried(kind):
    cluster, (master,) = started()
    cluster.end_pod(master, 2, failure(kind, message="training.learningRate: -1 is negative; use a positive number"))
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Failed"
    assert cluster.status["failure"]["class"] == kind.value
    assert cluster.status["failure"]["exitCode"] == 2
    assert cluster.status["restarts"] == 0
    assert cluster.condition("Failed")["reason"] == kind.value
    assert "use a positive number" in cluster.condition("Failed")["message"]
    assert cluster.condition("Stalled")["status"] == "True"
    settle(cluster, at(5000))
    assert [call for call in cluster.calls if call[0] == "apply"] == [("apply", "teach-sft-1")]


def test_a_killed_worker_restarts_the_whole_gang_from_the_newest_verified_state():
    cluster, (master, worker) = started(nodes=2)
    states = [
        checkpoint(10, kind="full-state", time=at(40)),
        checkpoint(20, kind="full-state", time=at(70)),
        checkpoint(25, kind="full-state", verified=False, time=at(80)),
        checkpoint(20),
    ]
    progress = Progress(step=27, total_steps=30, updated_time=at(88))
    cluster.report(
        checkpoints=[c.model_dump(mode="json", by_alias=True, exclude_none=True) for c in states],
        progress=progress.model_dump(mode="json", by_alias=True, exclude_none=True),
    )
    cluster.now = at(90)
    cluster.end_pod(worker, 137)
    outcome = once(cluster, at(91))  # the PyTorchJob itself says nothing yet
    assert outcome.requeue_after == 0
    status = cluster.status
    assert status["phase"] == "Restarting"
    assert status["attempts"][0]["reason"] == "NodeLost"
    assert status["attempts"][0]["exitCode"] == 137
    assert status["attempts"][0]["lastStep"] == 27
    assert status["failure"]["pod"] == worker
    assert status["failure"]["node"] == "node-1"
    assert "teach-sft-1" in cluster.children, "evidence is written before anything is destroyed"
    assert settle(cluster, at(92)).requeue_after == 9
    assert cluster.children == {}
    assert master not in cluster.pod_objects
    settle(cluster, at(101))
    assert list(cluster.children) == ["teach-sft-2"]
    status = cluster.status
    assert status["restarts"] == 1
    assert status["attempts"][1]["resumedFrom"] == states[1].uri
    contract = str(cluster.children["teach-sft-2"])
    assert contract.index("full-state/20") < contract.index("full-state/10")
    assert "full-state/25" not in contract
    assert status["progress"]["step"] == 27
    assert len(status["checkpoints"]) == 4
    assert status["goodput"] == {"queued": 5, "training": 65, "lost": 21, "waiting": 10}


def test_the_second_attempt_can_succeed_and_tells_of_the_first():
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(30))
    settle(cluster, at(60))
    (master,) = cluster.run_pods(2)
    once(cluster, at(61))
    assert cluster.status["phase"] == "Running"
    cluster.end_pod(master, 0, success(attempt=2))
    settle(cluster, at(90))
    assert cluster.status["phase"] == "Succeeded"
    assert cluster.status["restarts"] == 1
    assert reasons(cluster) == ["CudaOOM", "Succeeded"]
    assert "failure" not in cluster.status


def test_restarts_end_at_backoff_limit():
    cluster = FakeCluster(job(runPolicy={"backoffLimit": 2}))
    second = 0.0
    for attempt in (1, 2, 3):
        settle(cluster, at(second))
        (master,) = cluster.run_pods(attempt)
        cluster.end_pod(master, 1, failure(FailureClass.BACKEND_ERROR, attempt))
        settle(cluster, at(second + 10))
        second += 500
    assert cluster.status["phase"] == "Failed"
    assert cluster.status["restarts"] == 2
    assert reasons(cluster) == ["BackendError"] * 3
    assert "backoffLimit 2 is used up" in cluster.condition("Failed")["message"]


def test_back_off_doubles_up_to_its_cap():
    cluster = FakeCluster(job(runPolicy={"backoffLimit": 100}))
    second, waits = 0.0, []
    for attempt in range(1, 9):
        settle(cluster, at(second))
        (master,) = cluster.run_pods(attempt)
        cluster.end_pod(master, 1, failure(FailureClass.BACKEND_ERROR, attempt))
        waits.append(settle(cluster, at(second)).requeue_after)
        second += 1000
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]


def test_preemption_does_not_count():
    cluster = FakeCluster(job(runPolicy={"backoffLimit": 0}))
    for attempt in (1, 2, 3):
        settle(cluster, at(attempt * 100))
        (master,) = cluster.run_pods(attempt)
        cluster.end_pod(master, 143, failure(FailureClass.PREEMPTED, attempt))
        assert settle(cluster, at(attempt * 100 + 50)).requeue_after == 10
    assert cluster.status["phase"] == "Restarting"
    assert cluster.status["restarts"] == 0
    assert reasons(cluster) == ["Preempted"] * 3


def test_a_child_deleted_by_hand_is_a_lost_attempt():
    cluster, _ = started()
    cluster.remove_child("teach-sft-1")
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Restarting"
    assert reasons(cluster) == ["ChildLost"]
    settle(cluster, at(50))
    assert list(cluster.children) == ["teach-sft-2"]
    assert cluster.status["restarts"] == 1


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
    settle(cluster, at(20 + 30 + 29))
    assert cluster.status["phase"] == "Running"
    settle(cluster, at(20 + 30 + 31))
    assert cluster.status["phase"] == "Suspended"


def test_a_job_created_suspended_starts_when_told():
    cluster = FakeCluster(job(runPolicy={"suspend": True}))
    settle(cluster, at(0))
    assert cluster.status["phase"] == "Suspended"
    assert cluster.children == {}
    cluster.change_spec(runPolicy={})
    settle(cluster, at(10))
    assert list(cluster.children) == ["teach-sft-1"]


def test_a_job_being_deleted_is_left_alone():
    cluster, _ = started()
    cluster.job["metadata"]["deletionTimestamp"] = stamp(at(10))
    calls = list(cluster.calls)
    assert once(cluster, at(11)) == Outcome()
    assert cluster.calls == calls


def test_a_job_that_is_gone_is_nothing():
    cluster = FakeCluster(job())
    assert once(cluster, at(0), name="another") == Outcome()


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


def test_a_hang_is_a_gang_restart():
    cluster, (master,) = started(runPolicy={"progressDeadlineSeconds": 60})
    progress = Progress(step=3, updated_time=at(50)).model_dump(mode="json", by_alias=True, exclude_none=True)
    cluster.report(progress=progress)
    assert once(cluster, at(90)).requeue_after == 20
    assert cluster.status["phase"] == "Running"
    settle(cluster, at(110))
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
    assert len(cluster.pod_objects) == 2
    settle(cluster, at(30))
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
    events = len(cluster.events)
    cluster.faults["write_status"] = [ClusterError("conflict", status=409)]
    assert once(cluster, at(30)) == Outcome(0.5)
    assert len(cluster.events) == events
    settle(cluster, at(31))
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
