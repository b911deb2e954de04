"""A control plane of these tests' own (one of them stops it), and operators as real processes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from replicas import Cluster, Replica

from e2e.cluster.__main__ import down, up


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("ha-control-plane")
    try:
        yield Cluster(up(folder, nodes=1))
    finally:
        down(folder)


@pytest.fixture
def namespace(plane: Cluster) -> Iterator[str]:
    """One of the test's own."""
    name = f"ha-{uuid.uuid4().hex[:10]}"
    plane.kubectl("create", "namespace", name)
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def start(plane: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Replica]]:
    """start(name, *options): one more operator process, ready to act or to take over."""
    replicas: list[Replica] = []

    def one(name: str, *options: str) -> Replica:
        replica = Replica(name, plane, tmp_path / f"{name}.log", options)
        replicas.append(replica)
        replica.wait_ready()
        return replica

    yield one
    for replica in replicas:
        replica.end()
        request.node.add_report_section("teardown", replica.name, replica.said)
    for replica in replicas:
        assert "Traceback" not in replica.said
