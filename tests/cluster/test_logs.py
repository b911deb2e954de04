"""Logs by way of a real API server; a server of the test's own stands where the node's kubelet would be."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from case import SMALLEST
from kubelet_logs import KubeletLogs, kubelet_logs
from real_cluster import Namespace, core

from kubetune import AsyncClient, Client
from kubetune.cluster import ATTEMPT, JOB_UID
from kubetune.controller.kubernetes_api import Request

pytestmark = pytest.mark.cluster


@pytest.fixture
def kubelet(namespace: Namespace) -> Iterator[KubeletLogs]:
    authority = namespace.kubeconfig.parent
    if not (authority / "kube-apiserver.key").exists():
        pytest.skip("KUBECONFIG names a cluster of another make: the test needs a certificate of its authority")
    with kubelet_logs(authority / "kube-apiserver.crt", authority / "kube-apiserver.key") as logs:
        yield logs


@pytest.fixture
def gang(namespace: Namespace, kubelet: KubeletLogs) -> Iterator[list[str]]:
    """The running master and worker of an attempt of a job `teach`, by name."""
    job = Client(namespace.kubeconfig, namespace=namespace.name).submit(SMALLEST["SFTJob"])
    node, nodes = f"logs-{uuid.uuid4().hex[:8]}", "/api/v1/nodes"
    namespace.api.json(Request("POST", nodes, body=kubelet.node(node)))
    patch(namespace, f"{nodes}/{node}", kubelet.status)
    pods = [pod(job.uid, node, role) for role in ("master", "worker")]
    for each in pods:
        path = f"/api/v1/namespaces/{namespace.name}/pods"
        namespace.api.json(Request("POST", path, body=each))
        say_running(namespace, each["metadata"]["name"])
    yield [each["metadata"]["name"] for each in pods]
    core(namespace).delete_node(node)
    for each in pods:  # no kubelet would ever end them
        core(namespace).delete_namespaced_pod(each["metadata"]["name"], namespace.name, grace_period_seconds=0)


def pod(uid: str, node: str, role: str) -> dict[str, Any]:
    labels = {JOB_UID: uid, ATTEMPT: "1", "training.kubeflow.org/replica-type": role, "training.kubeflow.org/replica-index": "0"}
    container = {"name": "pytorch", "image": "none"}
    spec = {"nodeName": node, "containers": [container], "tolerations": [{"operator": "Exists"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"teach-sft-1-{role}-0", "labels": labels}, "spec": spec}


def patch(namespace: Namespace, path: str, status: dict[str, Any]) -> None:
    namespace.api.json(Request("PATCH", f"{path}/status", body={"status": status}, content="application/merge-patch+json"))


def say_running(namespace: Namespace, name: str, *, code: int | None = None) -> None:
    state: dict[str, Any] = {"running": {"startedAt": "2026-01-01T12:00:00Z"}}
    if code is not None:
        state = {"terminated": {"exitCode": code, "startedAt": "2026-01-01T12:00:00Z", "finishedAt": "2026-01-01T13:00:00Z"}}
    about = {"name": "pytorch", "image": "none", "imageID": "", "ready": code is None, "restartCount": 0, "state": state}
    phase = "Running" if code is None else "Succeeded"
    patch(namespace, f"/api/v1/namespaces/{namespace.name}/pods/{name}", {"phase": phase, "containerStatuses": [about]})


def at(second: int, text: str) -> str:
    return f"2026-01-01T12:00:{second:02}.000000000Z {text}\n"


def test_a_log_that_breaks_off_in_a_line_comes_whole_and_once(namespace: Namespace, kubelet: KubeletLogs, gang: list[str]):
    master, worker = gang
    kubelet.parts = {
        master: [
            (at(1, "a") + at(2, "b") + at(3, "torn")[:-3], True),
            (at(2, "b") + at(3, "torn") + at(4, "d"), False),
            (at(4, "d") + at(5, "e"), False),
        ],
        worker: [(at(1, "I follow"), False)],
    }
    client = Client(namespace.kubeconfig, namespace=namespace.name)
    lines = client.stream("teach", attempt=1)
    assert [next(lines).text for _ in range(4)] == ["a", "b", "torn", "d"]
    say_running(namespace, master, code=0)
    assert [line.text for line in lines] == ["e"]
    assert [asked.get("sinceTime") for asked in kubelet.asked] == [None, "2026-01-01T12:00:02Z", "2026-01-01T12:00:04Z"]
    assert client.logs("teach", rank=1, tail=1) == "I follow\n"


def test_all_ranks_are_followed_by_the_asynchronous_client(namespace: Namespace, kubelet: KubeletLogs, gang: list[str]):
    for name in gang:
        kubelet.parts[name] = [(at(1, "begun") + at(2, "done"), False)] * 2
        say_running(namespace, name, code=0)

    async def use() -> list[str]:
        async with AsyncClient(namespace.kubeconfig, namespace=namespace.name) as client:
            return [line.labelled async for line in client.stream("teach", rank=None, attempt=1)]

    assert sorted(asyncio.run(use())) == ["[0] begun", "[0] done", "[1] begun", "[1] done"]
