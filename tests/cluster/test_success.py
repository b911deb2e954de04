from __future__ import annotations

import json

import pytest
from operator_process import OperatorProcess
from real_cluster import Namespace, failed, reached_end

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_a_job_is_created_runs_and_succeeds(namespace: Namespace, operator: OperatorProcess, kind: str):
    job = namespace.create(kind=kind, pods={"test/run-seconds": "2s", "test/outcome": json.dumps(reached_end())})
    job.wait("Running", "Succeeded")
    waited = namespace.kubectl("wait", "--for=condition=Succeeded", "--timeout=120s", f"{kind.lower()}/teach")
    assert "condition met" in waited.stdout
    status = job.status
    assert status["phase"] == "Succeeded"
    assert status["finalCheckpoint"]["uri"] == reached_end()["checkpoint"]["uri"]
    assert status["observedGeneration"] == job.get()["metadata"]["generation"]
    (attempt,) = status["attempts"]
    assert (attempt["reason"], attempt["lastStep"], status["restarts"]) == ("Succeeded", 10, 0)
    events = job.events()
    assert [reason for reason, _ in events] == ["Succeeded"], f"the ordinary is no event: {events}"
    assert len(namespace.children()) == 1


def test_exit_code_0_without_an_outcome_is_a_failure(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"backoffLimit": 0}}, pods={"test/run-seconds": "1s"})
    status = job.wait("Failed", "Succeeded")
    assert status["phase"] == "Failed"
    assert (status["failure"]["class"], status["failure"]["reason"]) == ("BackendError", "NotReachedEnd")
    assert "finalCheckpoint" not in status
    assert namespace.kubectl("wait", "--for=condition=Failed", "--timeout=30s", "sftjob/teach").returncode == 0


def test_a_users_error_is_not_retried(namespace: Namespace, operator: OperatorProcess):
    said = "dataset.uri: row 3 has no messages 🤗; mend the row"
    outcome = json.dumps(failed("DataError", said, code=2))
    job = namespace.create(pods={"test/exit-code": "2", "test/fail-after": "1s", "test/outcome": outcome})
    status = job.wait("Failed")
    assert (status["failure"]["class"], status["failure"]["message"]) == ("DataError", said)
    assert (len(status["attempts"]), status["restarts"]) == (1, 0)
    assert job.condition("Stalled")["status"] == "True"
    assert [reason for reason, _ in job.events()] == ["AttemptFailed", "Failed"]
