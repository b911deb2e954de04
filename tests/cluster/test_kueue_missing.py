from __future__ import annotations

import pytest
from operator_process import OperatorProcess
from real_cluster import Namespace, reached_end
from waiting import until

from kubetune.controller.kubernetes_api import Request

pytestmark = pytest.mark.cluster


def has_kueue(namespace: Namespace) -> bool:
    groups = namespace.api.json(Request("GET", "/apis"))["groups"]
    return any(group["name"] == "kueue.x-k8s.io" for group in groups)


def test_a_queue_without_kueue_is_said_and_jobs_without_one_run(namespace: Namespace, operator: OperatorProcess):
    if has_kueue(namespace):
        pytest.skip("the cluster of KUBECONFIG has Kueue")
    queued = namespace.create("queued", edit={"spec.queueName": "research"})
    plain = namespace.create("plain")
    until(
        lambda: queued.condition("Admitted").get("reason") == "KueueMissing",
        "condition Admitted says that there is no Kueue",
        evidence=queued.evidence,
    )
    assert "install Kueue" in queued.condition("Admitted")["message"]
    assert queued.pods(1) == []
    plain.wait_attempt(1)
    assert "Kueue" not in str(plain.status)
    plain.end(1, reached_end())
    plain.wait("Succeeded")
    assert queued.phase == "Queued"
