"""python -m e2e.cluster up|down|kubeconfig [--folder DIR] [--nodes N]"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from e2e.cluster import control_plane, operators, player

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("KUBETUNE_CLUSTER", ROOT / ".kubetune" / "cluster"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "kubeconfig"])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="certificates, data, logs and pids")
    parser.add_argument("--nodes", type=int, default=4, help="fake nodes of eight GPUs (kwok)")
    given = parser.parse_args()
    folder = given.folder.resolve()
    if given.action == "up":
        player.start(up(folder, given.nodes))
    elif given.action == "down":
        down(folder)
    print(folder / "admin.kubeconfig" if given.action != "down" else f"down: {folder}")
    return 0


def up(folder: Path, nodes: int) -> control_plane.ControlPlane:
    began = time.monotonic()
    plane = control_plane.up(folder)
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    operators.up(plane, nodes)
    print(f"==> cluster up in {time.monotonic() - began:.1f} s; export KUBECONFIG={plane.kubeconfig}", file=sys.stderr)
    return plane


def down(folder: Path) -> None:
    """Ends every program and removes what they wrote."""
    player.stop(folder)
    operators.down(folder)
    control_plane.down(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
