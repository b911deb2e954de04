"""One real control plane for the whole run: KUBECONFIG's if it is set (with the CRDs, the training operator and kwok's nodes), else one of our own."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from operator_process import OperatorProcess
from real_cluster import Namespace, core
from shared_cluster import control_plane

from e2e.cluster import binaries
from e2e.cluster.__main__ import up
from e2e.cluster.tokens import OPERATOR, account_kubeconfig
from e2e.cluster.volumes import CLAIMS, volume_name


@pytest.fixture(scope="session")
def kubectl() -> Path:
    return Path(shutil.which("kubectl") or binaries.path("kubectl"))


@pytest.fixture(scope="session")
def common_folder(worker_id: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for every process of the run (pytest -n)."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def kubeconfig(kubectl: Path, common_folder: Path) -> Iterator[Path]:
    """The administrator's."""
    with control_plane(common_folder / "control-plane", kubectl, partial(up, nodes=4)) as config:
        yield config


@pytest.fixture
def operator_kubeconfig(kubeconfig: Path, tmp_path: Path) -> Path:
    """Of the operator's ServiceAccount: it may do what deploy/ says."""
    return account_kubeconfig(kubeconfig, *OPERATOR, tmp_path)


@pytest.fixture
def namespace(kubeconfig: Path, kubectl: Path) -> Iterator[Namespace]:
    """One of the test's own, ready for pods."""
    it = Namespace(f"test-{uuid.uuid4().hex[:10]}", kubeconfig, kubectl)
    it.create_ready()
    yield it
    api = core(it)
    api.delete_namespace(it.name)
    for claim in CLAIMS:
        api.delete_persistent_volume(volume_name(it.name, claim))


@pytest.fixture
def operator(
    namespace: Namespace, operator_kubeconfig: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[OperatorProcess]:
    """Running, in the test's namespace alone, with the rights of its ServiceAccount."""
    process = OperatorProcess(operator_kubeconfig, namespace.name, tmp_path / "operator.log")
    process.start()
    yield process
    process.stop()
    request.node.add_report_section("teardown", "operator", process.said)
    assert "Traceback" not in process.said, process.said
