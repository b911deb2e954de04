"""The whole loop against a cluster in memory: what a user sees in the status, and what was done to the cluster."""

import pytest
from fake_cluster import NOW, UID, FakeCluster, at, checkpoint, failure, job, stamp, success
from loop import once, reasons, settle, started

from kubetune.cluster import ClusterError, Manifest
from kubetune.controller.reconcile import Outcome
from kubetune_trainer.contract import CONTRACT_ENV, Contract, FailureClass, Progress


def contract_of(child: Manifest) -> Contract:
    (container,) = child["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    (document,) = (variable["value"] for variable in container["env"] if variable["name"] == CONTRACT_ENV)
    return Contract.model_validate_json(document)


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
    assert [reason for _, reason, _ in cluster.events] == [], "the ordinary is no event"


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
    contract = contract_of(cluster.children["teach-sft-2"])
    assert [path.rpartition("/")[2] for path in contract.resume_from] == ["20", "10"]
    assert contract.earlier_checkpoints == tuple(states), "the next attempt's reports carry them on"
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


def test_a_job_being_deleted_is_left_alone():
    cluster, _ = started()
    cluster.job["metadata"]["deletionTimestamp"] = stamp(at(10))
    calls = list(cluster.calls)
    assert once(cluster, at(11)) == Outcome()
    assert cluster.calls == calls


def test_a_job_that_is_gone_is_nothing():
    cluster = FakeCluster(job())
    assert once(cluster, at(0), name="another") == Outcome()


def test_the_masters_account_is_there_before_the_first_attempt():
    cluster = FakeCluster(job())
    cluster.faults["ensure_reporter"] = [ClusterError("rolebindings is forbidden", status=403, retryable=False)]
    once(cluster, at(0))
    assert cluster.children == {}
    assert cluster.condition("Running")["message"] == "rolebindings is forbidden"
    once(cluster, at(15))
    assert cluster.reporters == {"default"}
    assert list(cluster.children) == ["teach-sft-1"]


def test_no_account_is_made_for_a_job_that_names_one():
    cluster = FakeCluster(job(template={"serviceAccountName": "buckets"}))
    once(cluster, at(0))
    assert list(cluster.children) == ["teach-sft-1"]
    assert cluster.reporters == set()
