from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from explained import ago, attempt, condition, found, job

from kubetune.explain import Severity
from kubetune.explain.failures import ADVICE
from kubetune_trainer.contract import FailureClass


def failed(kind: str, attempts: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    failure = {
        "class": kind,
        "reason": kind,
        "message": "what went wrong",
        "pod": "teach-sft-1-master-0",
        "node": "n1",
        "exitCode": 1,
    } | more
    return job(
        "Failed",
        conditions=[condition("Failed", "True", kind, "what went wrong (backoffLimit 3 is used up (3 restarts))")],
        failure=failure,
        attempts=attempts or [attempt(ended=ago(minutes=3), reason=kind, lastStep=12)],
        completionTime=ago(minutes=3),
    )


def test_there_is_advice_for_every_class_and_the_page_has_them_all() -> None:
    assert set(ADVICE) == set(FailureClass)
    page = Path("docs/failures.md").read_text()
    assert [each for each in FailureClass if each.value not in page] == []


def test_an_attempt_that_did_no_step_ended_before_the_first_one() -> None:
    first = found(failed("DataError", attempts=[attempt(ended=ago(minutes=3), reason="DataError", lastStep=0)]))[0]
    assert "attempt 1 ended 3 min ago, before its first step" in first.evidence


@pytest.mark.parametrize("kind", [each.value for each in FailureClass])
def test_each_class_has_its_evidence_a_remedy_and_a_command(kind: str) -> None:
    first = found(failed(kind, logTail="a line\nthe root error\n"))[0]
    assert (first.severity, first.reason) == (Severity.FAILED, kind)
    assert first.evidence[0] == f"status.failure: {kind}: what went wrong"
    assert "on pod teach-sft-1-master-0, node n1, exit code 1" in first.evidence
    assert ("last line of its log: the root error" in first.evidence) == (kind not in ("UserError", "DataError"))
    assert "attempt 1 ended 3 min ago, after step 12" in first.evidence
    assert first.remedy
    assert first.command
    assert "another attempt follows" not in first.remedy  # the job is over


@pytest.mark.parametrize(
    ("kind", "reason", "command"),
    [
        ("UserError", "InvalidSpec", "kubetune validate teach.yaml"),
        ("UserError", "NameTaken", "kubectl get pytorchjobs -n research"),
        ("UserError", "UpstreamFailed", "kubectl get sftjobs,osftjobs -n research"),
        ("CudaOOM", "CudaOOM", "kubetune estimate teach.yaml --gpu-memory 80Gi"),
        ("ImagePull", "ErrImagePull", "kubectl describe pod/teach-sft-1-master-0 -n research"),
        ("BackendError", "Error", "kubectl logs teach-sft-1-master-0 --tail=100 -n research"),
        ("DiskFull", "Evicted", "kubectl get pvc -n research"),
    ],
)
def test_the_command_follows_from_class_and_reason(kind: str, reason: str, command: str) -> None:
    assert found(failed(kind, reason=reason))[0].command == command


def test_what_was_wrong_outside_the_spec_is_mended_there_and_the_job_retried() -> None:
    refused = failed("UserError", reason="UserError")
    assert "a new metadata.name" in found(refused)[0].remedy
    assert found(refused)[0].remedy.endswith(
        "is mended, `kubetune retry sftjob/teach -n research` lets it go on from its last verified state"
    )
    assert "retry" not in found(failed("CudaOOM"))[0].remedy  # what mends it is in the spec


def test_a_success_leaves_an_earlier_failure_alone() -> None:
    done = job("Succeeded", failure={"class": "NodeLost", "reason": "x", "message": "y"})
    assert [each.reason for each in found(done)] == ["Succeeded"]
