"""A control plane with the real Kueue: KUBECONFIG's if it is set, else one of our own; queues with room for one job of one GPU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from kueue_queues import Queues
from real_cluster import Namespace
from shared_cluster import control_plane

from e2e.cluster.__main__ import up


@pytest.fixture(scope="session")
def kubeconfig(kubectl: Path, common_folder: Path) -> Iterator[Path]:
    """Not the other tests': they run without Kueue, as most clusters do."""
    with control_plane(common_folder / "kueue", kubectl, partial(up, nodes=2, with_kueue=True)) as config:
        yield config


@pytest.fixture
def queues(namespace: Namespace) -> Iterator[Queues]:
    """LocalQueue `gpus` of the test's namespace; its ClusterQueue has one GPU and lets higher priorities preempt lower ones."""
    made = Queues(namespace)
    made.make()
    yield made
    made.remove()
