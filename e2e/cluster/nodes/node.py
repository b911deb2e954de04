"""One real node: namespaces of its own (network, mounts, processes, host name), and containerd, kubelet and kube-proxy in them."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from e2e.cluster import binaries, certs, processes
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.nodes import cgroups, configuration, network
from e2e.cluster.nodes.network import PODS, Network

HERE = Path(__file__).resolve().parent
INIT = "init"
OPENING_SECONDS = 30.0


@dataclass(frozen=True)
class Node:
    """The index-th node of a cluster."""

    cluster: Path
    index: int
    network: Network

    @property
    def name(self) -> str:
        return f"node-{self.index}"

    @property
    def folder(self) -> Path:
        return self.cluster / self.name

    @property
    def address(self) -> str:
        return self.network.node_address(self.index)

    @property
    def store(self) -> Path:
        """Of containerd: images and containers, on the file system of those that are linked into it."""
        return binaries.CACHE / "nodes" / self.cgroup_root

    @property
    def cgroup_root(self) -> str:
        return f"{self.network.bridge}-{self.name}"

    @property
    def runs(self) -> bool:
        record = self.folder / f"{INIT}.pid"
        return record.exists() and processes.is_ours(int(record.read_text()), self.folder)

    def inside(self, *command: str) -> list[str]:
        """The command line that runs it in the node, in the folder /."""
        return ["nsenter", f"--target={self.first_process()}", "--net", "--mount", "--pid", "--uts", *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Raises RuntimeError with what it said."""
        done = subprocess.run(self.inside(*command), check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def first_process(self) -> int:
        """As this machine numbers it: the child that unshare forked."""
        return child_of(int((self.folder / f"{INIT}.pid").read_text()))


def start(node: Node, plane: ControlPlane, images: Path, pause: str, count: int) -> None:
    """Starts what does not run yet; the kubelet registers the node by itself."""
    if node.runs:
        return
    node.folder.mkdir(exist_ok=True)
    open_namespaces(node)
    connect(node, count)
    write_files(node, plane, pause)
    link_images(images, node.store)
    cgroups.create(node.cgroup_root)
    start_containerd(node)
    start_kubelet(node, plane)
    start_program(node, "kube-proxy", f"--config={node.folder / 'kube-proxy.yaml'}")


def open_namespaces(node: Node) -> None:
    (node.folder / "mounted").unlink(missing_ok=True)
    own = ("--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc", "--propagation=private")
    command = ("unshare", *own, "bash", "-e", str(HERE / "init.sh"), str(node.folder))
    first = processes.start(node.folder, INIT, *command)
    processes.wait_until((node.folder / "mounted").exists, first, node.folder / f"{INIT}.log", OPENING_SECONDS)
    node.run("hostname", node.name)


def connect(node: Node, count: int) -> None:
    """Its cable, its address, and the way to the other nodes' pods."""
    network.plug(node.network, node.index, node.first_process())
    others = [index for index in range(count) if index != node.index]
    ways = [part for index in others for part in (network.pod_subnet(index), node.network.node_address(index))]
    address = f"{node.address}/{node.network.prefix}"
    node.run("bash", "-e", str(HERE / "links.sh"), address, node.network.gateway, PODS, *ways)


def write_files(node: Node, plane: ControlPlane, pause: str) -> None:
    """Certificates and configuration."""
    folder, authority = node.folder, certs.Authority(plane.folder, "ca")
    names = f"DNS:{node.name},IP:{node.address}"
    authority.sign(node.name, common_name=f"system:node:{node.name}", organisation="system:nodes", alternatives=names)
    authority.sign("kube-proxy", common_name="system:kube-proxy")
    for user in (node.name, "kube-proxy"):
        certs.kubeconfig(plane.folder, user, plane.server)
    (folder / "cni").mkdir(exist_ok=True)
    files = {
        "containerd.toml": configuration.containerd(node.store, folder / "cni", pause),
        "cni/pods.conflist": configuration.cni(network.pod_subnet(node.index)),
        "kubelet.yaml": configuration.kubelet(folder, node.address, node.network.gateway, node.cgroup_root),
        "kube-proxy.yaml": configuration.kube_proxy(plane.folder / "kube-proxy.kubeconfig", node.name, PODS),
        "resolv.conf": "",  # of pods that ask no cluster DNS
    }
    for name, text in files.items():
        (folder / name).write_text(text)


def link_images(images: Path, store: Path) -> None:
    """A containerd folder of the node's own out of one at rest: layers as hard links, databases as copies."""
    shutil.rmtree(store, ignore_errors=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-al", images, store], check=True)
    for database in images.rglob("*.db"):
        own = store / database.relative_to(images)
        own.unlink()
        shutil.copyfile(database, own)


def start_containerd(node: Node) -> None:
    program = processes.start(
        node.folder, "containerd", *node.inside("containerd", "--config", str(node.folder / "containerd.toml"))
    )
    processes.wait_until(partial(containerd_answers, node), program, node.folder / "containerd.log")


def containerd_answers(node: Node) -> bool:
    command = node.inside("ctr", "--address", configuration.SOCKET, "version")
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def start_kubelet(node: Node, plane: ControlPlane) -> None:
    start_program(
        node,
        "kubelet",
        f"--config={node.folder / 'kubelet.yaml'}",
        f"--kubeconfig={plane.folder}/{node.name}.kubeconfig",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    )


def start_program(node: Node, name: str, *flags: str) -> None:
    processes.start(node.folder, name, *node.inside(str(binaries.path(name)), *flags))


def stop(node: Node) -> None:
    """Kills the node's first process: the kernel ends all others of its process namespace, and with the last the mounts go."""
    if node.folder.exists():
        processes.stop(node.folder, INIT, first=signal.SIGKILL)
        cgroups.remove(node.cgroup_root)
    shutil.rmtree(node.store, ignore_errors=True)


def child_of(parent: int) -> int:
    """The one child of that process. Raises TimeoutError if there is none in time."""
    file = Path(f"/proc/{parent}/task/{parent}/children")
    return int(soon(file.read_text, f"a child of process {parent}"))


def soon(look: Callable[[], str], what: str) -> str:
    deadline = time.monotonic() + OPENING_SECONDS
    while not (seen := look().strip()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not there after {OPENING_SECONDS:.0f} s")
        time.sleep(processes.POLL_SECONDS)
    return seen
