from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from operator_process import OperatorProcess
from real_cluster import FOR_EVER, Job, Manifest, Namespace, failed, reached_end
from waiting import until

from kubetune.cluster import HELD, RELEASED

pytestmark = pytest.mark.cluster

OOM = "CUDA out of memory; lower training.maxTokensPerGpu"


def oom(attempt: int) -> Manifest:
    return failed("CudaOOM", OOM, attempt, step=3)


def names(pods: list[Manifest]) -> list[str]:
    return [pod["metadata"]["name"] for pod in pods]


def pauses(attempts: list[Manifest]) -> list[float]:
    """Seconds between the end of one attempt and the start of the next."""
    times = [(datetime.fromisoformat(a["ended"]), datetime.fromisoformat(b["started"])) for a, b in pairwise(attempts)]
    return [(after - before).total_seconds() for before, after in times]


def test_one_failed_worker_restarts_the_gang_until_the_limit(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.nodes": 2, "spec.runPolicy": {"backoffLimit": 2}})
    for number in (1, 2, 3):
        job.wait_attempt(number)
        until(lambda at=number: len(job.pods(at)) == 2 and all("podIP" in p["status"] for p in job.pods(at)), "both pods run")
        job.end(number, oom(number), code=1, index=1)
        until(lambda at=number: "ended" in job.attempts[at - 1], f"attempt {number} has ended", evidence=job.evidence)
        if number < 3:
            until(lambda at=number: not job.pods(at), "the whole gang of the failed attempt is gone", evidence=job.evidence)
    status = job.wait("Failed")
    assert [a["reason"] for a in status["attempts"]] == ["CudaOOM"] * 3
    assert status["restarts"] == 2
    assert status["failure"]["pod"] == "teach-sft-3-worker-0"
    assert "backoffLimit 2 is used up" in job.condition("Failed")["message"]
    first, second = pauses(status["attempts"])
    assert first >= 1, "the first back-off is one second here"
    assert second >= 2, "it doubles"
    assert [reason for reason, _ in job.events()] == ["AttemptFailed", "Restarted"] * 2 + ["AttemptFailed", "Failed"]


def test_what_was_counted_survives_kill_9(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"backoffLimit": 2}})
    job.wait_attempt(1)
    job.end(1, oom(1), code=1)
    job.wait_attempt(2)
    operator.kill()
    job.end(2, oom(2), code=1)
    operator.start()
    job.wait_attempt(3)
    operator.kill()
    job.end(3, oom(3), code=1)
    operator.start()
    status = job.wait("Failed")
    assert [a["number"] for a in status["attempts"]] == [1, 2, 3]
    assert status["restarts"] == 2
    assert [reason for reason, _ in job.events()] == ["AttemptFailed", "Restarted"] * 2 + ["AttemptFailed", "Failed"]


def test_a_retry_gets_pods_when_the_training_operator_has_taken_note_of_it(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    assert HELD not in namespace.children()[0]["metadata"]["annotations"], "nothing can be left of an earlier one"
    job.end(1, oom(1), code=1)
    job.wait_attempt(2)
    (child,) = namespace.children()
    assert child["metadata"]["annotations"][HELD] == RELEASED
    assert child["spec"]["runPolicy"]["suspend"] is False
    assert "Suspended" in [condition["type"] for condition in child["status"]["conditions"]]
    job.end(2, reached_end(2))
    job.wait("Succeeded")


def test_a_backoff_goes_on_over_a_restart(namespace: Namespace, operator: OperatorProcess):
    operator.kill()
    operator.start("--backoff-base-seconds=8", "--backoff-cap-seconds=8")
    job = namespace.create()
    job.wait_attempt(1)
    job.end(1, oom(1), code=1)
    job.wait("Restarting")
    operator.kill()
    operator.start("--backoff-base-seconds=8", "--backoff-cap-seconds=8")
    job.wait_attempt(2)
    assert pauses(job.attempts)[0] >= 8


def test_the_end_is_found_though_the_operator_was_down(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    operator.kill()
    job.end(1, reached_end())
    operator.start()
    assert job.wait("Succeeded", "Failed")["phase"] == "Succeeded"
    assert len(job.attempts) == 1


def test_killed_again_and_again_it_starts_each_attempt_once(namespace: Namespace, operator: OperatorProcess):
    """Wherever the kill falls: before the child, between child and record, or after."""
    jobs = [namespace.create(f"job-{i}") for i in range(4)]
    for delay in range(4):
        until(lambda n=delay: len(namespace.children()) > n or all(job.phase == "Running" for job in jobs), "another child")
        operator.kill()
        operator.start()
    for job in jobs:
        job.wait_attempt(1)
        assert len(job.attempts) == 1
        assert job.events() == []
    assert sorted(c["metadata"]["name"] for c in namespace.children()) == [f"job-{i}-sft-1" for i in range(4)]


def test_a_child_deleted_by_hand_is_a_lost_attempt(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    namespace.delete_child("teach-sft-1")
    job.wait_attempt(2)
    first, second = job.attempts
    assert (first["reason"], second["pyTorchJob"]) == ("ChildLost", "teach-sft-2")
    assert job.status["restarts"] == 1
    assert "runPolicy.suspend" in job.status["failure"]["message"]


def test_a_pod_deleted_by_hand_is_a_lost_attempt(namespace: Namespace, operator: OperatorProcess):
    """The training operator must see the pod while it ends: one that is gone at once it makes anew, as if nothing had been."""
    job = namespace.create(edit={"spec.nodes": 2}, pods={**FOR_EVER, "test/linger": ""})
    job.wait_attempt(1)
    until(lambda: [pod["status"].get("phase") for pod in job.pods(1)] == ["Running", "Running"], "both pods")
    namespace.kubectl("delete", "pod", "teach-sft-1-worker-0", "--wait=false")
    until(lambda: job.phase == "Restarting" or job.attempts[0].get("reason"), "the end of attempt 1", evidence=job.evidence)
    for pod in job.pods(1):
        namespace.kubectl("annotate", "pod", pod["metadata"]["name"], "test/linger-")
    job.wait_attempt(2)
    assert job.attempts[0]["reason"] == "NodeLost"
    assert job.status["restarts"] == 1


def preempt(job: Job, attempt: int) -> None:
    job.end(attempt, failed("Preempted", "saved and stopped", attempt, code=143), code=143)


def test_preemption_uses_up_no_restart(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"backoffLimit": 0}})
    job.wait_attempt(1)
    preempt(job, 1)
    job.wait_attempt(2)
    assert job.attempts[0]["reason"] == "Preempted"
    assert job.status["restarts"] == 0
