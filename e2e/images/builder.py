"""Builds images by buildah into one OCI layout of the cache; what is there already is not built again."""

from __future__ import annotations

import fcntl
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.cluster import binaries
from e2e.images import catalogue, stubs
from e2e.images.catalogue import BASE, PAUSE, ROOT, TRAINER_CPU, Image
from e2e.images.layout import Layout

HOME = binaries.CACHE / "images"
LAYOUT = Layout(HOME / "layout")
UNNEEDED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale")


def ensure(images: Iterable[Image]) -> None:
    """Builds those that the layout lacks."""
    with one_at_a_time():
        for image in images:
            if LAYOUT.find(image.key) is None:
                build(image)


def build(image: Image) -> None:
    """Raises CalledProcessError if a step fails; its output has been seen."""
    if image.inputs and BASE.key in image.recipe and LAYOUT.find(BASE.key) is None:
        build(BASE)
    say(f"==> building the image {image.name} (once for this content; kept in {LAYOUT.folder})")
    began = time.monotonic()
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="context-") as scratch:
        context, more = prepare(image, Path(scratch))
        arguments = [f"--build-arg={name}={value}" for name, value in (("BASE", BASE.reference), *image.arguments)]
        where = [f"--file={image.dockerfile}", f"--tag={image.reference}"]
        buildah(
            "build", "--isolation=chroot", "--layers", "--format=oci", "--quiet", *trust(), *arguments, *more, *where, str(context)
        )
    packed = ("--format=oci", "--compression-format=zstd", "--compression-level=1", "--quiet")
    buildah("push", *packed, image.reference, f"oci:{LAYOUT.folder}:{image.key}")
    say(f"    {image.name}: {time.monotonic() - began:.0f} s")


def prepare(image: Image, scratch: Path) -> tuple[Path, list[str]]:
    """(build context, further flags)."""
    if image == BASE:
        debootstrap(scratch)
        return scratch, []
    if image == PAUSE:
        return binaries.path("pause").parent, []
    copy_inputs(image, scratch / "context")
    if image != TRAINER_CPU:
        return scratch / "context", []
    site = next((ROOT / ".venv/lib").glob("python3.*/site-packages"))
    stubs.write(site, scratch / "cuda/lib/python3.11/site-packages")
    return scratch / "context", [f"--build-context=cuda={scratch / 'cuda'}"]


def copy_inputs(image: Image, target: Path) -> None:
    """What the key speaks of and nothing else, with one time for all: to buildah a file of another time is a new one."""
    for file in catalogue.files(image.inputs):
        place = target / file.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
        place.chmod(0o644)
    for each in (target, *target.rglob("*")):
        os.utime(each, (0, 0))


def debootstrap(scratch: Path) -> None:
    """Writes base.tar: a minimal Debian with Python."""
    root = scratch / "root"
    packages = ",".join(catalogue.BASE_PACKAGES)
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", catalogue.SUITE, str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for name in UNNEEDED:
        shutil.rmtree(root / name)
        (root / name).mkdir()
    tar = ["tar", "--numeric-owner", "--sort=name", "--exclude=./dev/*", "-cf", str(scratch / "base.tar"), "-C", str(root), "."]
    subprocess.run(tar, check=True)
    shutil.rmtree(root)


def trust() -> list[str]:
    """The build trusts whom this machine trusts: there may be a proxy with an authority of its own."""
    file = ssl.get_default_verify_paths().cafile
    return [f"--secret=id=ca,src={file}"] if file else []


def buildah(*arguments: str) -> None:
    """With storage of its own, apart from that of the machine's other users of it."""
    scratch = HOME / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    storage = (f"--root={HOME / 'storage'}", f"--runroot={HOME / 'run'}", "--storage-driver=overlay")
    environment = {**os.environ, "TMPDIR": str(scratch)}
    subprocess.run(["buildah", *storage, *arguments], check=True, env=environment, stdout=sys.stderr)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
