"""python -m e2e.cluster up|down|kubeconfig [--folder DIR] [--nodes N | --real-nodes N] [--kueue]"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from e2e.cluster import control_plane, kueue, operators, player
from e2e.cluster.nodes import cluster as nodes
from e2e.cluster.nodes import network
from e2e.images import builder, catalogue, store

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("KUBETUNE_CLUSTER", ROOT / ".kubetune" / "cluster"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "kubeconfig"])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="certificates, data, logs and pids")
    parser.add_argument("--nodes", type=int, default=4, help="fake nodes of eight GPUs (kwok)")
    parser.add_argument(
        "--real-nodes", type=int, default=0, help="containerd and kubelet instead, and the project's images; needs root"
    )
    parser.add_argument("--kueue", action="store_true", help="start Kueue, too")
    given = parser.parse_args()
    folder = given.folder.resolve()
    if given.action == "up" and given.real_nodes:
        up_with_real_nodes(folder, given.real_nodes)
    elif given.action == "up":
        player.start(up(folder, given.nodes, with_kueue=given.kueue))
    elif given.action == "down":
        down(folder)
    print(folder / "admin.kubeconfig" if given.action != "down" else f"down: {folder}")
    return 0


def up(folder: Path, nodes: int, *, with_kueue: bool = False) -> control_plane.ControlPlane:
    """Starts whatever does not run yet."""
    began = time.monotonic()
    plane = control_plane.up(folder)
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    operators.up(plane, nodes)
    if with_kueue:
        kueue.up(plane)
    print(f"==> cluster up in {time.monotonic() - began:.1f} s; export KUBECONFIG={plane.kubeconfig}", file=sys.stderr)
    return plane


def up_with_real_nodes(folder: Path, count: int) -> control_plane.ControlPlane:
    """Starts whatever does not run yet: nodes that have the project's images and no way to any registry."""
    nodes.require_programs()
    there = control_plane.load(folder)
    if there and there.host == control_plane.LOOPBACK:
        sys.exit(f"{folder} has a cluster of fake nodes, which listens where no node reaches it: make cluster-down first")
    builder.ensure(catalogue.FOR_TESTS)
    images = store.unpacked(catalogue.FOR_TESTS)
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    wire = network.create(folder)
    plane = control_plane.up(folder, wire.gateway)
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    operators.start_training_operator(plane, operators.NO_INIT_CONTAINER)
    nodes.up(plane, wire, count, images, catalogue.PAUSE.reference)
    print(f"==> cluster up in {time.monotonic() - began:.1f} s; export KUBECONFIG={plane.kubeconfig}", file=sys.stderr)
    return plane


def down(folder: Path) -> None:
    """Ends every program and removes what they wrote."""
    nodes.down(folder)
    player.stop(folder)
    kueue.down(folder)
    operators.down(folder)
    control_plane.down(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
