"""A control plane with the real Kueue: KUBECONFIG's if it is set, else one of our own; queues with room for one job of one GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kueue_queues import Queues
from real_cluster import Namespace

from e2e.cluster.__main__ import down, up


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Not the other tests': they run without Kueue, as most clusters do."""
    if os.environ.get("KUBECONFIG"):
        yield Path(os.environ["KUBECONFIG"])
        return
    folder = tmp_path_factory.mktemp("kueue-cluster")
    try:
        yield up(folder, nodes=2, with_kueue=True).kubeconfig
    finally:
        down(folder)


@pytest.fixture
def queues(namespace: Namespace) -> Iterator[Queues]:
    """LocalQueue `gpus` of the test's namespace; its ClusterQueue has one GPU and lets higher priorities preempt lower ones."""
    made = Queues(namespace)
    made.make()
    yield made
    made.remove()
