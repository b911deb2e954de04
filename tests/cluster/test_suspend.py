from __future__ import annotations

import pytest
from operator_process import OperatorProcess
from real_cluster import Namespace, checkpoint, now, reached_end
from waiting import until

pytestmark = pytest.mark.cluster

SUSPEND = {"runPolicy": {"suspend": True}}
RESUME = {"runPolicy": {"suspend": False}}


def test_suspend_and_resume(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.nodes": 2})
    job.wait_attempt(1)
    job.report(progress={"step": 7, "updatedTime": now()}, checkpoints=[checkpoint(6)])
    job.patch(SUSPEND)
    status = job.wait("Suspended")
    until(lambda: not namespace.children() and not namespace.all_pods(), "nothing runs", evidence=job.evidence)
    assert status["attempts"][0]["reason"] == "Suspended"
    assert job.condition("Suspended")["status"] == "True"
    assert job.condition("Reconciling")["status"] == "False"
    job.patch(RESUME)
    second = job.wait_attempt(2)
    assert second["resumedFrom"] == checkpoint(6)["uri"]
    assert job.condition("Suspended")["status"] == "False"
    job.end(2, reached_end(2))
    assert job.wait("Succeeded")["restarts"] == 0
    assert [reason for reason, _ in job.events()] == ["Suspended", "Resumed", "Succeeded"]


def test_created_suspended_nothing_starts(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"suspend": True}})
    job.wait("Suspended")
    assert namespace.children() == []
    job.patch(RESUME)
    job.wait_attempt(1)


def test_suspended_while_the_operator_is_down(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    operator.kill()
    job.patch(SUSPEND)
    operator.start()
    job.wait("Suspended")
    until(lambda: not namespace.all_pods(), "nothing runs", evidence=job.evidence)
