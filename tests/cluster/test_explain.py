"""`kubetune explain` on a real API server, with a real scheduler's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner
from operator_process import OperatorProcess
from real_cluster import Namespace, failed, now
from waiting import until

from kubetune.cli.app import kubetune

pytestmark = pytest.mark.cluster


@pytest.fixture
def explained(namespace: Namespace):
    def explained(name: str) -> dict[str, Any]:
        """The first finding."""
        where = ["--kubeconfig", str(namespace.kubeconfig), "-n", namespace.name, "-o", "json"]
        result = CliRunner().invoke(kubetune, ["explain", name, *where])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        document = json.loads(result.stdout)
        assert document["notes"] == []
        finding: dict[str, Any] = document["findings"][0]
        assert (result.exit_code == 1) == (finding["severity"] in ("blocked", "failed"))
        return finding

    return explained


def test_from_no_operator_to_the_end(explained, namespace: Namespace, operator: OperatorProcess):
    operator.kill()
    job = namespace.create()
    assert explained("teach")["reason"] == "NotObserved"
    operator.start()
    job.wait_attempt(1)
    job.report(progress={"step": 7, "totalSteps": 10, "loss": 1.5, "updatedTime": now()})
    assert explained("sftjob/teach")["title"].startswith("it trains: step 7 of 10")
    job.end(1, failed("DataError", "line 3: no role"), code=2)
    job.wait("Failed")
    finding = explained("teach")
    assert (finding["severity"], finding["reason"]) == ("failed", "DataError")
    assert finding["evidence"][0] == "status.failure: DataError: line 3: no role"


def test_pods_that_a_quota_refuses(explained, namespace: Namespace, operator: OperatorProcess):
    namespace.kubectl("create", "quota", "team", "--hard=pods=0")
    operator.kill()
    operator.start("--missing-seconds=2")
    job = namespace.create()
    until(
        lambda: job.condition("Running").get("reason") == "PodsRefused", "the status has the quota's words", evidence=job.evidence
    )
    assert "exceeded quota: team" in job.condition("Running")["message"]
    assert ("PodsRefused", job.condition("Running")["message"]) in job.events()
    assert explained("teach")["reason"] == "QuotaExceeded"


def test_pods_that_no_node_takes(explained, namespace: Namespace, operator: OperatorProcess):
    namespace.create(edit={"spec.template": {"nodeSelector": {"no.such/label": "x"}}})
    until(lambda: explained("teach")["reason"] == "Unschedulable", "the scheduler has spoken")
    finding = explained("teach")
    assert finding["severity"] == "blocked"
    assert "didn't match Pod's node affinity/selector" in finding["evidence"][0]
    assert finding["command"] == f"kubectl describe pod/teach-sft-1-master-0 -n {namespace.name}"
