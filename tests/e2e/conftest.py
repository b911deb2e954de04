"""Two real nodes for the whole run: KUBECONFIG's (make cluster NODES=2), else of a cluster of our own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from helm import Helm
from node_faults import KillOperators, Nodes, kill_operators_of, nodes_of
from real_cluster import Namespace
from real_nodes import SYSTEM, close_namespace, install_operator, keep_evidence, open_namespace
from traces import traces
from waiting import until

from e2e.cluster import binaries
from e2e.cluster.__main__ import ROOT, down, up_with_real_nodes

EVIDENCE = ROOT / ".kubetune" / "e2e"
CLUSTER = ROOT / ".kubetune" / "e2e-cluster"
"""Where the next run finds it, and ends it, should this one be killed."""

NODES = int(os.environ.get("NODES", "2"))

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def kubectl() -> Path:
    return binaries.path("kubectl")


@pytest.fixture(scope="session")
def system(kubectl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """The operator's namespace; it runs. A cluster of our own leaves no process, link, mount, rule or file."""
    given = os.environ.get("KUBECONFIG")
    if not given:
        down(CLUSTER)  # of a run that was killed
    before = {} if given else traces(CLUSTER)
    try:
        config = Path(given) if given else up_with_real_nodes(CLUSTER, NODES).kubeconfig
        install_operator(Helm(binaries.path("helm"), tmp_path_factory.mktemp("helm"), config))
        yield Namespace(SYSTEM, config, kubectl)
    finally:
        if not given:
            down(CLUSTER)
            until(lambda: traces(CLUSTER) == before, "the cluster is gone", evidence=lambda: (before, traces(CLUSTER)))


@pytest.fixture
def nodes(system: Namespace) -> Iterator[Nodes]:
    """All of the cluster's; whole again afterwards."""
    found = nodes_of(system.kubeconfig)
    yield found
    found.mend()


@pytest.fixture
def kill_operators(system: Namespace, nodes: Nodes) -> KillOperators:
    return lambda: kill_operators_of(system, nodes)


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The folder of the namespace's claims."""
    return tmp_path


@pytest.fixture
def namespace(
    system: Namespace, volumes: Path, tiny_model: Path, tiny_data: Path, request: pytest.FixtureRequest
) -> Iterator[Namespace]:
    """One of the test's own, ready for jobs."""
    its = Namespace(f"e2e-{uuid.uuid4().hex[:10]}", system.kubeconfig, system.program)
    open_namespace(its, volumes, tiny_model, tiny_data)
    yield its
    if request.node.stash.get(FAILED, False):
        keep_evidence(its, system, EVIDENCE / request.node.name)
        request.node.add_report_section("call", "evidence", f"in {EVIDENCE / request.node.name}")
    close_namespace(its)
