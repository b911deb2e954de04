"""A real control plane: KUBECONFIG's if it is set (with the CRDs, the training operator and kwok's nodes), else one of our own."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client
from operator_process import OperatorProcess
from real_cluster import Namespace, core
from waiting import until

from e2e.cluster import binaries
from e2e.cluster.__main__ import down, up

CLAIMS = ("data", "runs")
"""What the smallest job names."""


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if os.environ.get("KUBECONFIG"):
        yield Path(os.environ["KUBECONFIG"])
        return
    folder = tmp_path_factory.mktemp("control-plane")
    try:
        yield up(folder, nodes=4).kubeconfig
    finally:
        down(folder)


@pytest.fixture(scope="session")
def kubectl() -> Path:
    return Path(shutil.which("kubectl") or binaries.path("kubectl"))


@pytest.fixture
def namespace(kubeconfig: Path, kubectl: Path) -> Iterator[Namespace]:
    """One of the test's own, ready for pods."""
    it = Namespace(f"test-{uuid.uuid4().hex[:10]}", kubeconfig, kubectl)
    api = core(it)
    api.create_namespace({"metadata": {"name": it.name}})
    until(lambda: api.list_namespaced_service_account(it.name).items, f"the ServiceAccount of {it.name}")
    for claim in CLAIMS:
        make_claim(api, it.name, claim)
    yield it
    api.delete_namespace(it.name)
    for claim in CLAIMS:
        api.delete_persistent_volume(f"{it.name}-{claim}")


def make_claim(api: client.CoreV1Api, namespace: str, claim: str) -> None:
    """A claim and its volume, for the scheduler: nothing is ever mounted on a fake node."""
    volume = f"{namespace}-{claim}"
    shape = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    where = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": f"/none/{volume}"}}
    reserved = {"claimRef": {"namespace": namespace, "name": claim}}
    api.create_persistent_volume({"metadata": {"name": volume}, "spec": {**shape, **where, **reserved}})
    wanted = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": volume}
    api.create_namespaced_persistent_volume_claim(namespace, {"metadata": {"name": claim}, "spec": {**shape, **wanted}})


@pytest.fixture
def operator(namespace: Namespace, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[OperatorProcess]:
    """Running, in the test's namespace."""
    process = OperatorProcess(namespace.kubeconfig, namespace.name, tmp_path / "operator.log")
    process.start()
    yield process
    process.stop()
    request.node.add_report_section("teardown", "operator", process.said)
    assert "Traceback" not in process.said, process.said
