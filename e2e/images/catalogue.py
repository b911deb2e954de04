"""Which images there are, and what goes into each: an image is built once for one content."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates")
SUITE = "bookworm"
CUDA_WHEELS = "^(nvidia|cuda|triton)"


@dataclass(frozen=True)
class Image:
    """One image; `inputs` are the files and folders of the repository that go in."""

    name: str
    dockerfile: Path
    inputs: tuple[Path, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    recipe: str = ""
    """What else decides its content."""
    tag: str = version("kubetune")

    @property
    def reference(self) -> str:
        """As pods name it: without a registry's host, so that nobody tries to pull it."""
        return f"localhost/{self.name}:{self.tag}"

    @property
    def key(self) -> str:
        """Changes with every file that goes in."""
        told = repr((self.arguments, self.recipe)).encode()
        digest = hashlib.sha256(told + self.dockerfile.read_bytes())
        for file in files(self.inputs):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
        return f"{self.name}-{digest.hexdigest()[:16]}"


def files(inputs: Sequence[Path]) -> list[Path]:
    """Those that git would keep, sorted: no bytecode."""
    if not inputs:
        return []  # git would list everything
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *map(str, inputs)]
    names = subprocess.check_output(listed, text=True).split("\0")
    return sorted(ROOT / name for name in names if name and (ROOT / name).exists())


BASE = Image("kubetune-base", HERE / "base.Dockerfile", recipe=f"{SUITE} {BASE_PACKAGES}", tag="1")
PAUSE = Image("kubetune-pause", HERE / "pause.Dockerfile", (ROOT / "e2e/tools/pause",), tag="1")
PACKAGE = tuple(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "operator/src", "trainer_image/src"))
PINS = ROOT / "requirements"
OPERATOR = Image(
    "kubetune-operator",
    ROOT / "operator/Dockerfile",
    (*PACKAGE, *(PINS / name for name in ("operator.txt", "otel.txt", "image-tools.txt"))),
    recipe=BASE.key,
)
TRAINER = Image(
    "kubetune-trainer",
    ROOT / "trainer_image/Dockerfile",
    (*PACKAGE, PINS / "trainer.txt", PINS / "image-tools.txt"),
    recipe=BASE.key,
)
TRAINER_CPU = Image(
    "kubetune-trainer-cpu", TRAINER.dockerfile, (*TRAINER.inputs, HERE / "stubs.py"), (("WITHOUT", CUDA_WHEELS),), BASE.key
)
"""What tests run: without 4 GB of CUDA's libraries, which torch wants to be there and CPU training never calls."""

IMAGES = {image.name: image for image in (BASE, PAUSE, OPERATOR, TRAINER, TRAINER_CPU)}
FOR_TESTS = (PAUSE, OPERATOR, TRAINER_CPU)
