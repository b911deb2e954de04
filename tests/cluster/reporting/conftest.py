"""A real control plane with deploy/ applied, and a namespace in which jobs report."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from reporting import Lab, until

from e2e.cluster import binaries
from e2e.cluster.__main__ import down, up
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """KUBECONFIG's if it is set (with the CRDs, the training operator and kwok's nodes), else that of a cluster of our own."""
    if os.environ.get("KUBECONFIG"):
        yield Path(os.environ["KUBECONFIG"])
        return
    folder = tmp_path_factory.mktemp("control-plane")
    try:
        yield up(folder, nodes=4).kubeconfig
    finally:
        down(folder)


@pytest.fixture(scope="session")
def deployed(kubeconfig: Path) -> Path:
    """`kubectl apply -k deploy/`, and the API server knows that the policy type-checks."""
    kubectl = str(shutil.which("kubectl") or binaries.path("kubectl"))
    subprocess.run([kubectl, f"--kubeconfig={kubeconfig}", "apply", "-k", str(DEPLOY)], check=True, capture_output=True)
    api = KubernetesApi(connect(str(kubeconfig)))
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kubetune-trainer"
    policy = until(
        lambda: (
            (found := api.json(Request("GET", path))).get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
            and found
        ),
        "the policy's type check",
    )
    assert policy["status"]["typeChecking"] == {}
    return kubeconfig


@pytest.fixture
def lab(deployed: Path, tmp_path: Path) -> Iterator[Lab]:
    """A namespace of the test's own in which the masters' account was made, by the operator's own rights; gone at the end."""
    lab = Lab(deployed, f"test-{uuid.uuid4().hex[:10]}", tmp_path)
    lab.open()
    yield lab
    lab.close()
