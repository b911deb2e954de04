"""The images in containerd's own form, unpacked once for one content: a node starts from hard links to it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from e2e.cluster.processes import start, stop, wait_until
from e2e.images.builder import HOME, LAYOUT, one_at_a_time
from e2e.images.catalogue import Image

ROOT = HOME / "containerd"
RECORD = HOME / "containerd.json"
"""Which image has which content there."""


def unpacked(images: Sequence[Image]) -> Path:
    """The folder of a containerd with these images in it; nobody runs on it. The layout must have them."""
    wanted = {image.reference: image.key for image in images}
    with one_at_a_time():
        have = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        if any(have.get(name) != key for name, key in wanted.items()):
            with containerd() as socket:
                for name, key in wanted.items():
                    if have.get(name) != key:
                        load(socket, key, name)
            RECORD.write_text(json.dumps({**have, **wanted}, indent=1))
    return ROOT


def load(socket: Path, key: str, name: str) -> None:
    """Only blobs that containerd lacks are sent: of an image whose code alone changed, some hundred kilobytes."""
    ctr = ["ctr", f"--address={socket}", "--namespace=k8s.io"]
    present = set(subprocess.check_output([*ctr, "content", "ls", "--quiet"], text=True).split())
    with subprocess.Popen([*ctr, "images", "import", "-"], stdin=subprocess.PIPE) as program:
        assert program.stdin is not None  # noqa: S101 - it is a pipe: for mypy
        LAYOUT.write(key, name, program.stdin, present)
        program.stdin.close()
    if program.returncode:
        raise RuntimeError(f"ctr images import of {name} exited {program.returncode}")


@contextmanager
def containerd() -> Iterator[Path]:
    """Its socket, while it runs on that folder; its mounts are its own and end with it."""
    with tempfile.TemporaryDirectory(prefix="containerd-") as at:
        folder, socket = Path(at), Path(at) / "socket"
        configuration = folder / "containerd.toml"
        configuration.write_text(f'version = 2\nroot = "{ROOT}"\nstate = "{folder}/state"\n[grpc]\n  address = "{socket}"\n')
        program = start(folder, "containerd", "unshare", "--mount", "containerd", "--config", configuration)
        try:
            wait_until(partial(answers, socket), program, folder / "containerd.log")
            yield socket
        finally:
            stop(folder, "containerd")


def answers(socket: Path) -> bool:
    return subprocess.run(["ctr", f"--address={socket}", "version"], check=False, capture_output=True).returncode == 0
