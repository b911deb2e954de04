"""The operator under its own ClusterRole alone: a job that fails once, goes on from what was reported, and succeeds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attack_records import Refused
from reporting import OPERATOR, REPORTER, Lab, checkpoint, report, say, until

from kubetune.cluster import ClusterError
from kubetune.controller.kubernetes_api import Request
from kubetune.controller.kubernetes_cluster import PYTORCHJOBS, jobs_path
from kubetune_trainer.contract import CONTRACT_ENV, Contract, FailureClass, JobIdentity, Outcome

pytestmark = pytest.mark.cluster

FOR_EVER = {"test/run-seconds": "24h"}


@pytest.fixture
def operator(lab: Lab) -> Iterator[Path]:
    """`python -m kubetune.controller` with the token of its ServiceAccount; its log."""
    log = lab.folder / "operator.log"
    command = [sys.executable, "-m", "kubetune.controller", "--image=trainer:1", f"--namespace={lab.namespace}"]
    environment = {**os.environ, "KUBECONFIG": str(lab.account_kubeconfig(*OPERATOR))}
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    yield log
    process.kill()
    process.wait()


def pod_of(lab: Lab, name: str) -> dict[str, Any] | None:
    pods = lab.api.items(f"/api/v1/namespaces/{lab.namespace}/pods", query={})
    return next((p for p in pods if p["metadata"]["name"] == name and p["status"].get("phase") == "Running"), None)


def end(lab: Lab, pod: dict[str, Any], outcome: Outcome) -> None:
    """The kubelet's part: the trainer's container has ended and left its outcome."""
    status = pod["status"]["containerStatuses"][0]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = {
        "exitCode": outcome.exit_code,
        "reason": "x",
        "message": outcome.to_message(),
        "finishedAt": now,
        **status["state"]["running"],
    }
    ended = {**status, "ready": False, "started": False, "state": {"terminated": done}}
    body = {"status": {"phase": "Failed" if outcome.exit_code else "Succeeded", "containerStatuses": [ended]}}
    path = f"/api/v1/namespaces/{lab.namespace}/pods/{pod['metadata']['name']}/status"
    lab.api.json(Request("PATCH", path, body=body, content="application/merge-patch+json"))


def contract_of(lab: Lab, child: str) -> Contract:
    stored = lab.api.json(Request("GET", f"{PYTORCHJOBS.format(lab.namespace)}/{child}"))
    (container,) = stored["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    return Contract.model_validate_json(next(v["value"] for v in container["env"] if v["name"] == CONTRACT_ENV))


def run_attempt(lab: Lab, job: JobIdentity, number: int, step: int, outcome: Outcome) -> Contract:
    """The kubelet and the trainer: the pod runs, the master reports with the pod's own token, and ends."""
    name = f"{job.name}-sft-{number}"
    pod = until(lambda: pod_of(lab, f"{name}-master-0"), f"the master of attempt {number} runs")
    assert pod["spec"]["serviceAccountName"] == REPORTER
    until(lambda: [a["number"] for a in lab.status(job).get("attempts", [])][-1:] == [number], f"attempt {number} is recorded")
    contract = contract_of(lab, name)
    assert contract.report == "api"
    token = lab.token(REPORTER, pod)
    say(lab, job, token, report(step, checkpoint(job, step, number), attempt=number), contract.earlier_checkpoints)
    until(lambda: lab.status(job).get("progress", {}).get("step") == step, f"step {step}")
    end(lab, pod, outcome)
    return contract


def test_a_job_that_fails_once_goes_on_from_its_report_and_succeeds(lab: Lab, operator: Path):
    job = lab.job("teach", attempts=0, pods=FOR_EVER)
    broken = Outcome(reached_end=False, attempt=1, step=4, failure=FailureClass.BACKEND_ERROR, message="it broke", exit_code=1)
    final = checkpoint(job, 10, 2, "hf")
    success = Outcome(reached_end=True, attempt=2, step=10, total_steps=10, checkpoint=final)

    try:
        assert run_attempt(lab, job, 1, 4, broken).earlier_checkpoints == ()
        second = run_attempt(lab, job, 2, 10, success)
        until(lambda: lab.status(job).get("phase") == "Succeeded", "Succeeded")
    except AssertionError as error:
        raise AssertionError(f"{lab.status(job)}\n{operator.read_text()[-4000:]}") from error

    status = lab.status(job)
    assert second.resume_from == (checkpoint(job, 4).uri,)
    assert second.earlier_checkpoints == (checkpoint(job, 4),)
    assert [each["uri"] for each in status["checkpoints"]] == [checkpoint(job, 4).uri, checkpoint(job, 10, 2).uri]
    assert status["finalCheckpoint"]["uri"] == final.uri
    assert [attempt["reason"] for attempt in status["attempts"]] == ["BackendError", "Succeeded"]
    assert "orbidden" not in operator.read_text(), "its rights are enough for all that it tried"
    events = lab.api.items(f"/apis/events.k8s.io/v1/namespaces/{lab.namespace}/events", query={})
    assert [e for e in events if e["regarding"].get("name") == "teach" and e["regarding"]["kind"] == "SFTJob"]


FORBIDDEN = {
    "read Secrets": Request("GET", "/api/v1/namespaces/{}/secrets"),
    "make pods": Request(
        "POST",
        "/api/v1/namespaces/{}/pods",
        body={"metadata": {"generateName": "p-"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    ),
    "change a job": Request(
        "PATCH", jobs_path("SFTJob", "{}") + "/teach", body={"spec": {"queueName": "mine"}}, content="application/merge-patch+json"
    ),
    "make another account": Request("POST", "/api/v1/namespaces/{}/serviceaccounts", body={"metadata": {"name": "mine"}}),
    "bind a role under another name": Request(
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
        body={
            "metadata": {"name": "mine"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "kubetune", "namespace": "kubetune-system"}],
        },
    ),
    "ask for a token": Request("POST", "/api/v1/namespaces/{}/serviceaccounts/kubetune-trainer/token", body={"spec": {}}),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_the_operator_cannot_do(lab: Lab, what: str, refused: Refused):
    lab.job("teach")
    request = FORBIDDEN[what]
    request = Request(request.method, request.path.format(lab.namespace), body=request.body, content=request.content)
    with pytest.raises(ClusterError, match=r"forbidden|cannot") as caught:
        lab.as_account(lab.token(OPERATOR[1], namespace=OPERATOR[0])).json(request)
    assert caught.value.status == 403
    refused("operator", what, caught.value)


def test_the_binding_that_is_the_operators_own_cannot_be_of_another_role(lab: Lab, refused: Refused):
    """Deleted by somebody and made anew as cluster-admin's: nobody gives what he does not hold."""
    group = "rbac.authorization.k8s.io"
    path = f"/apis/{group}/v1/namespaces/{lab.namespace}/rolebindings/{REPORTER}"
    lab.api.json(Request("DELETE", path))
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": REPORTER, "namespace": lab.namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": OPERATOR[1], "namespace": OPERATOR[0]}],
    }
    query = {"fieldManager": "kubetune", "force": "true"}
    with pytest.raises(ClusterError, match="attempting to grant RBAC permissions not currently held") as caught:
        lab.as_account(lab.token(OPERATOR[1], namespace=OPERATOR[0])).json(
            Request("PATCH", path, query, binding, "application/apply-patch+yaml")
        )
    refused("operator", "binding its own account to cluster-admin", caught.value)
