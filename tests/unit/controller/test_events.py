"""What `kubectl describe` tells, and what it does not."""

from dataclasses import replace

import pytest
from fake_cluster import NOW, FakeCluster, at, checkpoint, failure, job, success
from loop import once, settle, started
from observations import first_attempt, unseen
from standings import STANDINGS

from kubetune.api.status import Attempt, Failure, JobStatus, Phase
from kubetune.cluster import ClusterError
from kubetune.controller.decision import AttemptEnd, CreateAttempt, Decision
from kubetune.controller.events import MEANINGS, JobEvent, events
from kubetune.controller.status import next_status
from kubetune_trainer.contract import FailureClass

FAILURE = Failure(failure_class=FailureClass.CUDA_OOM, reason="CudaOOM", message="out of memory")


def reasons(cluster: FakeCluster) -> list[str]:
    return [reason for _, reason, _ in cluster.events]


def test_an_undisturbed_job_costs_one_event():
    cluster, (master,) = started()
    cluster.end_pod(master, 0, success())
    settle(cluster, at(100))
    assert reasons(cluster) == ["Succeeded"]


EXPECTED = {
    "unseen": [],
    "queued": ["Queued"],
    "starting": [],
    "running": [],
    "restarting": ["AttemptFailed"],
    "suspended": ["Suspended"],
    "succeeded": ["Succeeded"],
    "failed": ["AttemptFailed", "Failed"],
    "invalid": ["InvalidSpec", "Failed"],
    "edited": ["Succeeded"],
    "changed_while_running": ["SpecChanged"],
    "changed_and_stopped": ["AttemptFailed", "SpecChanged"],
    "refused": ["CreateFailed"],
}


@pytest.mark.parametrize("name", STANDINGS)
def test_what_is_told_on_the_way_to_each_standing(name: str):
    cluster = STANDINGS[name]()
    assert reasons(cluster) == EXPECTED[name]
    assert {(reason, kind) for kind, reason, _ in cluster.events} <= {(r, kind) for r, (kind, _) in MEANINGS.items()}


def test_a_failure_is_told_once_and_its_end_after_it():
    observed = first_attempt()
    live = replace(observed, attempt=observed.status.attempts[0])
    end = AttemptEnd("CudaOOM", "out of memory")
    failed = next_status(live, Decision(Phase.FAILED, "CudaOOM", "final words", ended=end, failure=FAILURE), at(9))
    assert list(events(observed.status, failed)) == [
        JobEvent("Warning", "AttemptFailed", "attempt 1: CudaOOM: out of memory", "attempt 1"),
        JobEvent("Warning", "Failed", "final words", "attempt 1 generation 1"),
    ]
    assert list(events(failed, failed)) == []


@pytest.mark.parametrize(
    ("ended", "origin", "reason", "words"),
    [
        ("CudaOOM", "pvc://runs/a", "Restarted", "from pvc://runs/a"),
        ("CudaOOM", None, "Restarted", "from the beginning"),
        ("Suspended", "pvc://runs/a", "Resumed", "from pvc://runs/a"),
    ],
)
def test_another_attempt_is_told_with_its_origin(ended, origin, reason, words):
    first = Attempt(number=1, py_torch_job="teach-sft-1", started=NOW, ended=NOW, reason=ended)
    observed = first_attempt()
    before = observed.status.model_copy(update={"attempts": (first,)})
    observed = replace(observed, status=before, attempt=first)
    after = next_status(observed, Decision(Phase.STARTING, "x", actions=(CreateAttempt(2, (origin,) if origin else ()),)), NOW)
    (event,) = (e for e in events(before, after) if e.reason != "x")
    assert (event.kind, event.reason, event.once) == ("Normal", reason, "attempt 2")
    assert words in event.message
    assert "teach-sft-2" in event.message


def test_an_invalid_spec_is_told_once_a_generation():
    cluster = STANDINGS["invalid"]()
    settle(cluster, at(50))
    assert reasons(cluster) == ["InvalidSpec", "Failed"]
    cluster.change_spec(training={"learningRatt": 1})
    settle(cluster, at(60))
    assert reasons(cluster) == ["InvalidSpec", "Failed", "InvalidSpec"]


def unschedulable(cluster: FakeCluster, master: str, message: str | None) -> None:
    said = [{"type": "PodScheduled", "status": "False", "message": message}] if message else []
    cluster.pod_objects[master]["status"] = {"phase": "Pending", "conditions": said}


def test_a_wait_is_told_with_its_reason_once_an_attempt():
    cluster = FakeCluster(job())
    once(cluster, at(0))
    (master,) = cluster.run_pods(1)
    for second, message in enumerate(["0/4 nodes are available", "0/5 nodes are available", None, "0/5 nodes are available"]):
        unschedulable(cluster, master, message)
        once(cluster, at(10 + second))
    assert cluster.events == [("Warning", "Unschedulable", "teach-sft-1-master-0: 0/4 nodes are available")]


def test_what_is_no_news_is_no_event():
    status = next_status(unseen(), Decision(Phase.STARTING, "AttemptStarted", actions=(CreateAttempt(1),)), NOW)
    assert list(events(JobStatus(), status)) == []
    reported = status.model_copy(update={"checkpoints": (checkpoint(),)})
    assert list(events(status, reported)) == []


@pytest.mark.parametrize("fault", ["event", "write_status"])
def test_an_operator_that_dies_around_an_event_neither_loses_nor_repeats_it(fault: str):
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    cluster.faults[fault] = [ClusterError("the operator was killed")]
    settle(cluster, at(30))
    settle(cluster, at(31))
    settle(cluster, at(60))
    assert cluster.faults[fault] == []
    assert reasons(cluster) == ["AttemptFailed", "Restarted"]
