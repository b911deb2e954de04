"""A job that Failed, and that somebody asks to be tried once more (`kubetune retry`)."""

import pytest
from fake_cluster import FakeCluster, at, checkpoint, failure, job, success
from loop import once, reasons, settle, started

from kubetune.cluster import RETRY
from kubetune.controller.known_jobs import seen
from kubetune_trainer.contract import FailureClass


def ask(cluster: FakeCluster, after: int) -> None:
    """As `kubetune retry` writes it."""
    cluster.job["metadata"]["annotations"] = {RETRY: str(after)}
    cluster.touch(cluster.job)


def failed(kind: FailureClass = FailureClass.DATA_ERROR) -> FakeCluster:
    """A job whose only attempt ended so, after it had saved step 15."""
    cluster, (master,) = started(runPolicy={"backoffLimit": 0, "activeDeadlineSeconds": 3600})
    saved = checkpoint(15, kind="full-state", time=at(15))
    cluster.report(checkpoints=[saved.model_dump(mode="json", by_alias=True, exclude_none=True)])
    cluster.now = at(20)
    cluster.end_pod(master, 2, failure(kind, step=17))
    settle(cluster, at(21))
    assert cluster.status["phase"] == "Failed"
    return cluster


@pytest.mark.parametrize("kind", [FailureClass.DATA_ERROR, FailureClass.BACKEND_ERROR, FailureClass.DEADLINE_EXCEEDED])
def test_it_goes_on_in_the_same_resource_from_its_last_state(kind: FailureClass):
    cluster = failed(kind)
    ask(cluster, 1)
    settle(cluster, at(9000))
    assert cluster.status["phase"] == "Starting"
    assert cluster.condition("Failed")["status"] == "False"
    assert "completionTime" not in cluster.status
    assert reasons(cluster) == [kind.value, None], "its history stays"
    assert cluster.status["attempts"][1]["resumedFrom"] == checkpoint(15, kind="full-state").uri
    cluster.run_pods(2)
    once(cluster, at(9010))
    assert cluster.status["phase"] == "Running", "the deadline counts from the retry"
    cluster.now = at(9100)
    cluster.end_pod("teach-sft-2-master-0", 0, success(2))
    settle(cluster, at(9101))
    assert cluster.status["phase"] == "Succeeded"
    assert "failure" not in cluster.status
    assert [reason for _, reason, _ in cluster.events] == ["AttemptFailed", "Failed", "Restarted", "Succeeded"]


def test_what_was_asked_for_is_done_once():
    cluster = failed()
    ask(cluster, 1)
    settle(cluster, at(100))
    cluster.run_pods(2)
    once(cluster, at(110))
    cluster.now = at(120)
    cluster.end_pod("teach-sft-2-master-0", 2, failure(FailureClass.DATA_ERROR, attempt=2))
    settle(cluster, at(121))
    assert cluster.status["phase"] == "Failed"
    settle(cluster, at(5000))
    assert reasons(cluster) == ["DataError", "DataError"], "the annotation is of an attempt that has had its follower"
    ask(cluster, 2)
    settle(cluster, at(6000))
    assert len(cluster.status["attempts"]) == 3


def test_an_operator_that_dies_before_it_writes_makes_no_second_child():
    cluster = failed()
    ask(cluster, 1)
    before = cluster.job["status"].copy()
    settle(cluster, at(100))
    cluster.job["status"] = before
    cluster.touch(cluster.job)
    settle(cluster, at(101))
    assert [call for call in cluster.calls if call[0] == "apply"].count(("apply", "teach-sft-2")) == 1
    assert cluster.status["phase"] == "Starting"
    assert [attempt["number"] for attempt in cluster.status["attempts"]] == [1, 2]


@pytest.mark.parametrize("asked", ["0", "2", "", "last"])
def test_a_request_for_another_attempt_says_nothing(asked: str):
    cluster = failed()
    cluster.job["metadata"]["annotations"] = {RETRY: asked}
    cluster.touch(cluster.job)
    settle(cluster, at(100))
    assert cluster.status["phase"] == "Failed"
    assert len(cluster.status["attempts"]) == 1


def test_a_succeeded_job_stays_so():
    cluster, (master,) = started()
    cluster.end_pod(master, 0, success())
    settle(cluster, at(20))
    ask(cluster, 1)
    settle(cluster, at(30))
    assert cluster.status["phase"] == "Succeeded"
    assert len(cluster.status["attempts"]) == 1


def test_a_changed_training_is_refused_as_ever():
    cluster = failed()
    cluster.change_spec(training={"numEpochs": 9})
    ask(cluster, 1)
    settle(cluster, at(100))
    assert cluster.condition("Valid")["reason"] == "SpecChanged"
    assert len(cluster.status["attempts"]) == 1


def test_a_job_that_waited_for_one_that_failed_can_be_let_on_when_that_one_has_succeeded():
    upstream = job(name="base", uid="base")
    cluster = FakeCluster(job(model=None, resumeFrom={"jobRef": {"name": "base"}}), upstream)
    base = cluster.jobs["SFTJob", "default", "base"]
    base["status"] = {"phase": "Failed"}
    settle(cluster, at(1))
    assert cluster.status["phase"] == "Failed"
    saved = checkpoint(30).model_dump(mode="json", by_alias=True, exclude_none=True)
    base["status"] = {"phase": "Succeeded", "finalCheckpoint": saved}
    ask(cluster, 0)
    settle(cluster, at(10))
    assert cluster.status["phase"] in ("Pending", "Starting")
    assert "teach-sft-1" in cluster.children


def test_the_watch_takes_the_request_for_news():
    before = failed().job
    after = {**before, "metadata": {**before["metadata"], "annotations": {RETRY: "1"}}}
    assert seen("SFTJob", after).asks_for_more_than(seen("SFTJob", before))
    assert not seen("SFTJob", after).asks_for_more_than(seen("SFTJob", after))
