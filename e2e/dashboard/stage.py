"""What dashboard and traces look at: a control plane with fake nodes and the rights of deploy/, and replicas of the operator."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

from e2e.cluster import processes
from e2e.cluster.__main__ import down, up
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.cluster.tokens import OPERATOR, account_kubeconfig
from e2e.dashboard import prometheus
from e2e.dashboard.questions import ROOT

REPLICAS = ("operator-0", "operator-1")
PACE = ("--backoff-base-seconds=3", "--quiet-seconds=1")
"""Waits that suit a run of a minute."""


@contextmanager
def cluster(folder: Path, nodes: int = 4, *, with_kueue: bool = False, players: Sequence[str] = ()) -> Iterator[ControlPlane]:
    """With the rights of deploy/. Everything ends with the block, further players too."""
    try:
        plane = up(folder, nodes, with_kueue=with_kueue)
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy"))
        yield plane
    finally:
        for name in (prometheus.NAME, *REPLICAS, *players):
            processes.stop(folder, name)
        down(folder)


def start_operator(
    plane: ControlPlane,
    name: str,
    pace: Sequence[str] = PACE,
    port: int | None = None,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """One replica, as the ServiceAccount of deploy/, once it is ready; the port where it is scraped."""
    port = port or processes.free_ports(1)[0]
    account = account_kubeconfig(plane.kubeconfig, *OPERATOR, plane.folder)
    command = (sys.executable, "-m", "kubetune.controller", "--image=trainer:1", f"--address={LOOPBACK}", f"--port={port}")
    lease = (f"--identity={name}", "--lease-namespace=kubetune-system")
    settings = {**environment, "KUBECONFIG": str(account)}
    process = processes.start(plane.folder, name, *command, *lease, *pace, environment=settings)
    ready = partial(processes.answers, f"http://{LOOPBACK}:{port}/readyz")
    processes.wait_until(ready, process, plane.folder / f"{name}.log")
    return port
