from __future__ import annotations

import pytest
from operator_process import OperatorProcess
from real_cluster import Namespace, now, reached_end
from waiting import until

pytestmark = pytest.mark.cluster


def test_active_deadline(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"activeDeadlineSeconds": 8}})
    job.wait_attempt(1)
    status = job.wait("Failed")
    assert status["failure"]["class"] == "DeadlineExceeded"
    assert "activeDeadlineSeconds" in status["failure"]["message"]
    assert len(status["attempts"]) == 1
    until(lambda: not job.pods(1), "the pods are stopped", evidence=job.evidence)


def test_a_step_that_does_not_move_is_a_hang(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"progressDeadlineSeconds": 8}})
    job.wait_attempt(1)
    job.report(progress={"step": 5, "totalSteps": 20, "updatedTime": now()})
    second = job.wait_attempt(2)
    first = job.attempts[0]
    assert (first["reason"], first["lastStep"], second["number"]) == ("Hang", 5, 2)
    assert "since step 5" in first["message"]
    until(lambda: not job.pods(1), "the hung pods are stopped", evidence=job.evidence)
    job.end(2, reached_end(2))
    assert job.wait("Succeeded", "Failed")["phase"] == "Succeeded"


def test_the_deadline_passes_while_the_operator_is_down(namespace: Namespace, operator: OperatorProcess):
    """The clock is the status', not the process'."""
    job = namespace.create(edit={"spec.runPolicy": {"activeDeadlineSeconds": 5}})
    job.wait_attempt(1)
    operator.kill()
    operator.start()
    assert job.wait("Failed")["failure"]["class"] == "DeadlineExceeded"
