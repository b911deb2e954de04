"""What befalls a real node, and its mending: for clusters of this machine."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from real_cluster import Namespace

from e2e.cluster import control_plane, processes
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.nodes import network, node
from e2e.cluster.nodes.node import INIT, Node
from e2e.images import store
from e2e.images.catalogue import FOR_TESTS, PAUSE

READY_SECONDS = 180

KillOperators = Callable[[], None]

OPERATOR_TOO = "SIGKILL to all replicas of the operator in the same moment"


@dataclass
class Nodes:
    """Those of a cluster, and which of them are to be mended."""

    plane: ControlPlane
    all: dict[str, Node]
    dead: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)

    def crash(self, name: str) -> None:
        """Everything in it ends at once: kubelet, containerd, containers."""
        self.dead.add(name)
        processes.stop(self.all[name].folder, INIT, first=signal.SIGKILL)

    def silence(self, name: str) -> None:
        """Its kubelet alone is killed: the containers run on, and nobody can tell them to stop."""
        self.silent.add(name)
        entered = psutil.Process(int((self.all[name].folder / "kubelet.pid").read_text()))  # nsenter, which waits for it
        kubelets = entered.children()
        assert kubelets, "the kubelet runs"
        for kubelet in kubelets:
            kubelet.kill()
        _, alive = psutil.wait_procs(kubelets, timeout=30)
        assert not alive

    def drain(self, name: str) -> str:
        """As an administrator does it, in a minute at most; what kubectl said."""
        self.drained.add(name)
        return self.plane.kubectl("drain", name, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")

    def running(self, name: str, text: str) -> list[psutil.Process]:
        """The node's processes whose command line has that text."""
        found = psutil.Process(self.all[name].first_process()).children(recursive=True)
        return [each for each in found if text in " ".join(command_line(each))]

    def mend(self) -> None:
        for name in self.drained:
            self.plane.kubectl("uncordon", name)
        for name in self.silent:
            node.start_kubelet(self.all[name], self.plane)
        for name in self.dead:
            self._start_anew(self.all[name])
        if broken := [f"node/{name}" for name in self.silent | self.dead]:
            self.plane.kubectl("wait", "--for=condition=Ready", f"--timeout={READY_SECONDS}s", *broken)
        for marks in (self.drained, self.silent, self.dead):
            marks.clear()

    def _start_anew(self, each: Node) -> None:
        """As a machine that was switched on again, with an empty disk."""
        node.stop(each)
        network.unplug(each.network, each.index)
        node.start(each, self.plane, store.unpacked(FOR_TESTS), PAUSE.reference, len(self.all))


def kill_operators_of(system: Namespace, nodes: Nodes) -> None:
    """All replicas at once; new pods, since the kubelet starts a container that is killed again and again ever later."""
    operators = [each for name in nodes.all for each in nodes.running(name, "kubetune.controller")]
    assert operators, "an operator runs"
    for each in operators:
        each.kill()
    system.kubectl("delete", "pods", "--all", "--force", "--grace-period=0")


def command_line(process: psutil.Process) -> list[str]:
    """Empty if it has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def nodes_of(kubeconfig: Path) -> Nodes:
    """Skips the test where they are another machine's."""
    folder = kubeconfig.parent
    plane, wire = control_plane.load(folder), network.load(folder)
    if plane is None or wire is None:
        pytest.skip(f"{kubeconfig} is not a cluster of this machine (make cluster NODES=2): its nodes cannot be broken")
    numbers = sorted(int(each.name.rpartition("-")[2]) for each in folder.glob("node-*/"))
    return Nodes(plane, {each.name: each for each in (Node(folder, number, wire) for number in numbers)})
