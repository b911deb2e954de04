"""Cgroup roots of a node's own, in every hierarchy: the kubelet touches nothing else, and their removal is complete."""

from __future__ import annotations

import time
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """The controllers' folders of cgroup v1; of v2 the one mount."""
    return [MOUNT] if (MOUNT / "cgroup.controllers").exists() else sorted(each for each in MOUNT.iterdir() if each.is_dir())


def create(name: str) -> None:
    for hierarchy in hierarchies():
        root = hierarchy / name
        root.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):  # v1: a cpuset without them takes no process
            if hierarchy.name == "cpuset":
                (root / file).write_text((hierarchy / file).read_text())


def remove(name: str, seconds: float = 20) -> None:
    """Waits until the kernel has let go of the ended processes. Raises OSError if one does not end."""
    deadline = time.monotonic() + seconds
    for root in (hierarchy / name for hierarchy in hierarchies()):
        while root.exists():
            try:
                remove_tree(root)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def remove_tree(root: Path) -> None:
    for child in root.iterdir():
        if child.is_dir():
            remove_tree(child)
    root.rmdir()
