"""Operators as real processes, several beside each other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from replicas import Cluster, Replica


@pytest.fixture
def plane(kubeconfig: Path, kubectl: Path) -> Cluster:
    """The control plane, for the administrator."""
    return Cluster(kubeconfig, kubectl)


@pytest.fixture
def namespace(plane: Cluster) -> Iterator[str]:
    """One of the test's own."""
    name = f"ha-{uuid.uuid4().hex[:10]}"
    plane.kubectl("create", "namespace", name)
    yield name
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def start(operator_kubeconfig: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Replica]]:
    """start(name, *options, kubeconfig=...): one more operator process, ready to act or to take over."""
    replicas: list[Replica] = []

    def one(name: str, *options: str, kubeconfig: Path = operator_kubeconfig, **how: tuple[str, str]) -> Replica:
        replica = Replica(name, kubeconfig, tmp_path / f"{name}.log", options, **how)
        replicas.append(replica)
        replica.wait_ready()
        return replica

    yield one
    for replica in replicas:
        replica.end()
        request.node.add_report_section("teardown", replica.name, replica.said)
    for replica in replicas:
        assert "Traceback" not in replica.said
