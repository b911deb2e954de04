"""The operator beside the real Kueue: who waits, who goes, who is sent back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from kubernetes import client
from kueue_queues import QUEUE, Queues, owned_fields
from operator_process import OperatorProcess
from real_cluster import Job, Namespace, checkpoint, failed, now, reached_end
from waiting import until

from kubetune.cli.app import kubetune
from kubetune.cluster import FIELD_MANAGER, ClusterError
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune.controller.kueue import Kueue

pytestmark = pytest.mark.cluster

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


def waits_with(job: Job, *said: str) -> None:
    """Queued, and condition Admitted says all that."""
    until(
        lambda: job.phase == "Queued" and all(text in job.condition("Admitted").get("message", "") for text in said),
        f"{job.name} waits with {said}",
        evidence=job.evidence,
    )
    assert job.condition("Admitted")["status"] == "False"
    assert job.condition("Reconciling")["status"] == "True"


def typed(namespace: Namespace, *words: str, code: int = 0) -> str:
    """What kubetune says."""
    done = CliRunner().invoke(kubetune, [*words, "--kubeconfig", str(namespace.kubeconfig), "-n", namespace.name])
    assert done.exit_code == code, done.output
    return done.stdout


def test_one_is_admitted_the_others_wait_in_their_order(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    first = queues.job("first")
    first.wait_attempt(1)
    assert first.condition("Admitted")["status"] == "True"
    second = queues.job("second")
    waits_with(second, f"1st in queue {QUEUE}", "insufficient unused quota for nvidia.com/gpu")
    made = queues.workload(second)["metadata"]["creationTimestamp"]
    until(lambda: now() > made, "a second later: Kueue's order is by whole seconds")
    third = queues.job("third")
    waits_with(third, f"2nd in queue {QUEUE}", "insufficient unused quota for nvidia.com/gpu")
    assert second.pods(1) == third.pods(1) == []
    first.end(1, reached_end())
    first.wait("Succeeded")
    second.wait_attempt(1)
    waits_with(third, f"1st in queue {QUEUE}")
    assert [reason for reason, _ in second.events()] == ["Queued", "Admitted"]
    second.end(1, reached_end())
    status = second.wait("Succeeded")
    assert status["restarts"] == 0
    assert status["attempts"][0]["queued"] <= status["goodput"]["queued"] + 1
    third.wait_attempt(1)
    third.end(1, failed("DataError", "row 3: no role", code=2), code=2)
    third.wait("Failed")
    retry = f"kubetune retry sftjob/third -n {namespace.name}"
    assert retry in typed(namespace, "explain", "third", code=1)
    assert "from the beginning" in typed(namespace, "retry", "third")
    third.wait_attempt(2)
    assert third.condition("Admitted")["status"] == "True", "by the queue, as every attempt"


def test_what_kueue_sets_is_kueues(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    """Field ownership as the API server keeps it, once Kueue has admitted the PyTorchJob."""
    job = queues.job("teach")
    job.wait_attempt(1)
    (child,) = namespace.children()
    owned = owned_fields(child, FIELD_MANAGER)["f:spec"]
    assert child["spec"]["runPolicy"]["suspend"] is False
    assert "f:suspend" not in owned["f:runPolicy"]
    pod = owned["f:pytorchReplicaSpecs"]["f:Master"]["f:template"]["f:spec"]
    assert "f:containers" in pod
    assert "f:nodeSelector" not in pod
    version = child["metadata"]["resourceVersion"]
    job.patch({"runPolicy": {"backoffLimit": 5}})
    until(lambda: job.status["observedGeneration"] == 2, "the operator has looked at it again", evidence=job.evidence)
    assert namespace.children()[0]["metadata"]["resourceVersion"] == version, "a look again writes nothing to the PyTorchJob"


def test_preempted_by_a_higher_priority_it_resumes_and_nothing_is_counted(
    namespace: Namespace, queues: Queues, operator: OperatorProcess
):
    job = queues.job("teach", **{"spec.runPolicy": {"backoffLimit": 0}})
    job.wait_attempt(1)
    job.report(progress={"step": 7, "updatedTime": now()}, checkpoints=[checkpoint(6)])
    urgent = queues.job("urgent", high=True)
    urgent.wait_attempt(1)
    waits_with(job, f"1st in queue {QUEUE}")
    why = typed(namespace, "explain", "teach")
    assert "waiting  Kueue has not admitted it yet: it waits for quota" in why
    assert "attempt 1 was Preempted" in why
    assert f"Kueue: 1st in queue {QUEUE}; " in why
    first, second = job.attempts
    assert (first["reason"], first["lastStep"]) == ("Preempted", 7)
    assert "Preempted to accommodate a workload" in first["message"]
    assert second["resumedFrom"] == checkpoint(6)["uri"]
    assert "queued" not in second, "it waits still"
    urgent.end(1, reached_end())
    urgent.wait("Succeeded")
    job.wait_attempt(2)
    job.end(2, reached_end(2))
    status = job.wait("Succeeded")
    assert status["restarts"] == 0
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Preempted", "Succeeded"]
    assert [reason for reason, _ in job.events()] == [
        "Queued", "Admitted", "AttemptFailed", "Queued", "Admitted", "Succeeded",
    ]  # fmt: skip


def test_preempted_and_admitted_again_while_the_operator_was_down(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    """The same PyTorchJob runs again, with what the first attempt was told: that is no attempt to go on with."""
    job = queues.job("teach")
    job.wait_attempt(1)
    job.report(progress={"step": 7, "updatedTime": now()}, checkpoints=[checkpoint(6)])
    old = job.pods(1)[0]["metadata"]["uid"]
    operator.kill()
    workload = queues.workload(job)
    queues.activate(workload, active=False)
    until(lambda: not job.pods(1), "its pods are gone", evidence=job.evidence)
    queues.activate(workload, active=True)
    until(lambda: [p for p in job.pods(1) if p["metadata"]["uid"] != old], "its pods run again", evidence=job.evidence)
    operator.start()
    second = job.wait_attempt(2)
    assert second["resumedFrom"] == checkpoint(6)["uri"]
    assert job.attempts[0]["reason"] == "Preempted"
    assert job.status["restarts"] == 0


def test_a_deactivated_workload_is_held_until_it_is_activated(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    job = queues.job("teach")
    job.wait_attempt(1)
    workload = queues.workload(job)
    queues.activate(workload, active=False)
    waits_with(job, "was deactivated", f"kubectl patch workload {workload['metadata']['name']}")
    assert job.condition("Admitted")["reason"] == "WorkloadDeactivated"
    until(lambda: [a["reason"] for a in job.attempts] == ["Preempted"], "the attempt has ended", evidence=job.evidence)
    assert [c["metadata"]["name"] for c in namespace.children()] == ["teach-sft-1"], "nothing new gets round the deactivation"
    queues.activate(workload, active=True)
    job.wait_attempt(2)
    assert job.status["restarts"] == 0


def test_a_queue_that_does_not_exist(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    job = queues.job("teach", queue="nowhere")
    waits_with(job, "LocalQueue nowhere doesn't exist", "kubectl get localqueues")
    assert job.condition("Admitted")["reason"] == "Inadmissible"
    queues.local_queue("nowhere", f"{namespace.name}-none")
    waits_with(job, "ClusterQueue", "whoever runs the cluster")
    queues.local_queue("late", namespace.name)
    job.patch({"runPolicy": {"suspend": True}})
    job.wait("Suspended")
    job.patch({"runPolicy": {"suspend": False}, "queueName": "late"})
    job.wait_attempt(2)
    assert job.status["restarts"] == 0


def test_suspended_while_queued_it_leaves_the_queue(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    first = queues.job("first")
    first.wait_attempt(1)
    second = queues.job("second", **{"spec.runPolicy": {"activeDeadlineSeconds": 3600}})
    waits_with(second, "1st in queue")
    second.patch({"runPolicy": {"suspend": True}})
    status = second.wait("Suspended")
    until(lambda: len(namespace.api.items(queues.workloads, query={})) == 1, "its Workload is gone", evidence=second.evidence)
    assert status["attempts"][0]["reason"] == "Suspended"
    assert status["attempts"][0]["queued"] >= 0
    first.end(1, reached_end())
    first.wait("Succeeded")
    assert second.phase == "Suspended"
    second.patch({"runPolicy": {"suspend": False}})
    second.wait_attempt(2)
    assert second.status["restarts"] == 0


def test_time_in_the_queue_is_not_active_time(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    first = queues.job("first")
    first.wait_attempt(1)
    second = queues.job("second", **{"spec.runPolicy": {"activeDeadlineSeconds": 5}})
    until(lambda: waited(second) > 8, "8 s in the queue", evidence=second.evidence)
    assert second.phase == "Queued"
    first.end(1, reached_end())
    second.wait("Failed")
    assert second.status["failure"]["class"] == "DeadlineExceeded"
    assert second.attempts[0]["queued"] > 5


def waited(job: Job) -> float:
    """Seconds since its attempt was put into the queue."""
    started = [datetime.fromisoformat(a["started"]) for a in job.attempts]
    return (datetime.now(UTC) - started[0]).total_seconds() if started else 0.0


def test_deleted_while_queued_nothing_is_left(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    first = queues.job("first")
    first.wait_attempt(1)
    second = queues.job("second")
    waits_with(second, "1st in queue")
    second.delete()
    until(lambda: len(namespace.children()) == 1, "its PyTorchJob is gone")
    until(lambda: len(namespace.api.items(queues.workloads, query={})) == 1, "its Workload is gone")
    assert first.phase == "Running"


def test_the_operators_own_rights_are_enough_and_no_more(namespace: Namespace, queues: Queues, operator: OperatorProcess):
    """What Kueue says is read under deploy/'s ClusterRole alone; nothing of Kueue's may be changed."""
    queues.job("first").wait_attempt(1)
    job = queues.job("second")
    waits_with(job, "1st in queue")
    for file in ("namespace.yaml", "operator-rbac.yaml"):
        namespace.kubectl("apply", "--namespace=kubetune-system", "-f", str(DEPLOY / file))
    token = namespace.kubectl("create", "token", "kubetune", "--namespace=kubetune-system").stdout.strip()
    connection = connect(str(namespace.kubeconfig)).configuration
    connection.cert_file = connection.key_file = None
    connection.api_key, connection.api_key_prefix = {"authorization": token}, {"authorization": "Bearer"}
    account = KubernetesApi(client.ApiClient(connection))
    child = next(c for c in namespace.children() if c["metadata"]["name"] == "second-sft-1")
    until(lambda: Kueue(account).of(namespace.name, child["metadata"]["uid"], QUEUE).pending, "its place, as the operator reads it")
    workload = queues.workload(job)
    forbidden = Request(
        "PATCH", f"{queues.workloads}/{workload['metadata']['name']}", body={}, content="application/merge-patch+json"
    )
    with pytest.raises(ClusterError, match="cannot patch resource"):
        account.json(forbidden)
