"""A control plane of its own for each measurement, with the operators that it needs and nothing else."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from e2e.bench import peers
from e2e.bench.client import Client
from e2e.bench.workloads import IMAGE
from e2e.cluster import control_plane, operators
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.cluster.processes import stop

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KUBETUNE = "kubetune"
STARTERS = {
    "training-operator": operators.start_training_operator,
    "kwok": operators.start_kwok,
    "trainer": peers.start_trainer,
    "jobset": peers.start_jobset,
}
PODS_A_NODE = 200
"""Of the 250 that a fake node takes."""


@dataclass(frozen=True)
class Bench:
    """A running control plane that writes an audit log."""

    plane: ControlPlane

    @cached_property
    def client(self) -> Client:
        return Client(self.plane)

    @property
    def audit_log(self) -> Path:
        return self.plane.folder / "audit.log"

    def pid(self, program: str) -> int:
        return int((self.plane.folder / f"{program}.pid").read_text())

    def start(self, *programs: str) -> None:
        """And wait until each is ready."""
        for program in programs:
            STARTERS[program](self.plane) if program != KUBETUNE else start_kubetune(self.plane)

    def stop(self, program: str) -> None:
        stop(self.plane.folder, program)


@contextmanager
def control(pods: int = 0) -> Iterator[Bench]:
    """Nodes for so many pods. Everything ends with the block, and what it wrote is removed."""
    with tempfile.TemporaryDirectory(prefix="kubetune-bench-") as name:
        folder = Path(name)
        flags = (f"--audit-policy-file={HERE / 'audit-policy.yaml'}", f"--audit-log-path={folder / 'audit.log'}")
        os.environ["APISERVER_FLAGS"] = " ".join((*flags, "--audit-log-maxsize=100000"))
        try:
            plane = control_plane.up(folder)
            plane.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
            plane.kubectl(
                "apply", "--server-side", *(f"-f={ROOT / 'deploy' / file}" for file in ("trainer-rbac.yaml", "trainer-policy.yaml"))
            )
            if pods:
                operators.start_kwok(plane)
                operators.add_nodes(plane, 2 + pods // PODS_A_NODE)
            yield Bench(plane)
        finally:
            for program in (KUBETUNE, *STARTERS):
                stop(folder, program)
            control_plane.down(folder)


def start_kubetune(plane: ControlPlane) -> None:
    """As the README starts it, under a user of its own."""

    def command(_: int, probe: int) -> list[str]:
        options = (f"--image={IMAGE}", f"--address={LOOPBACK}", f"--port={probe}", "--log-format=json")
        return [sys.executable, "-m", "kubetune.controller", *options]

    operators.run(plane, KUBETUNE, "readyz", command)
