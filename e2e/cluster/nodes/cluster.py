"""The nodes of one cluster, and the DNS server of their pods."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from e2e.cluster import binaries, processes
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.nodes import configuration, network, node
from e2e.cluster.nodes.network import Network
from e2e.cluster.nodes.node import Node
from e2e.cluster.operators import add_user

PROGRAMS = ("containerd", "runc", "ctr", "ip", "iptables", "nsenter", "unshare", "buildah", "debootstrap", "zstd", "readelf", "gcc")
PACKAGES = "containerd runc containernetworking-plugins iproute2 iptables buildah debootstrap zstd binutils gcc"
READY_SECONDS = 120


def why_not_here() -> str:
    """Why a node cannot run, or an image be built, on this machine, and what to do; empty: both can."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if not Path(configuration.CNI).is_dir():
        missing.append(configuration.CNI)
    if missing:
        return f"Real nodes need {', '.join(missing)}. On Debian 12: apt-get install --no-install-recommends {PACKAGES}"
    return "Real nodes need root: they mount, and make namespaces and cgroups." if os.geteuid() else ""


def require_programs() -> None:
    """Ends the process where that is so."""
    if why := why_not_here():
        sys.exit(why)


def up(plane: ControlPlane, wire: Network, count: int, images: Path, pause: str) -> list[Node]:
    """Starts the nodes whose programs do not run yet and waits until all are Ready."""
    start_dns(plane, wire)
    nodes = [Node(plane.folder, index, wire) for index in range(count)]
    plane.apply([proxy_binding()])
    for each in nodes:
        node.start(each, plane, images, pause, count)
    names = [f"node/{each.name}" for each in nodes]
    for name in names:  # of several at once kubectl waits for none that is not there yet
        plane.kubectl("wait", "--for=create", f"--timeout={READY_SECONDS}s", name)
    plane.kubectl("wait", "--for=condition=Ready", f"--timeout={READY_SECONDS}s", *names)
    return nodes


def proxy_binding() -> dict[str, object]:
    """kube-proxy's rights: a role that every API server has, which no distribution binds by itself."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "node-proxier"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:node-proxier"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "system:kube-proxy"}],
    }


def start_dns(plane: ControlPlane, wire: Network) -> None:
    """CoreDNS on the control plane's address."""
    record = plane.folder / "coredns.pid"
    if record.exists() and processes.is_ours(int(record.read_text()), plane.folder):
        return
    kubeconfig = add_user(plane, "coredns")
    corefile = plane.folder / "Corefile"
    corefile.write_text(configuration.coredns(wire.gateway, kubeconfig))
    processes.start(plane.folder, "coredns", binaries.path("coredns"), "-conf", corefile)


def down(folder: Path) -> None:
    """Ends every node and takes the wire away."""
    wire = network.load(folder)
    if wire is None:
        return
    for each in sorted(folder.glob("node-*/")):
        node.stop(Node(folder, int(each.name.rpartition("-")[2]), wire))
    processes.stop(folder, "coredns")
    network.remove(wire)
