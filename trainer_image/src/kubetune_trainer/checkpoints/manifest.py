"""The manifest: what a checkpoint holds, file by file. Written last and atomically, so a checkpoint that has one was whole."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field, ValidationError

from kubetune_trainer.contract import MANIFEST_NAME, CheckpointKind, JobIdentity, Message

DISTRIBUTIONS = ("kubetune", "torch", "transformers", "accelerate")
"""Whose versions every manifest names, beside the backend's own."""

CHUNK = 8 * 2**20  # bytes read at a time
LINE_BYTES = 256  # of one file in the manifest, beside its name


class File(Message):
    """One file, by its path relative to the checkpoint."""

    path: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Message):
    """Everything that a later attempt, or a reader years after, must know of the checkpoint."""

    version: Literal["v1"] = "v1"
    kind: CheckpointKind
    step: int = Field(ge=0, description="Optimizer steps that it holds, over the whole run.")
    epoch: int | None = Field(default=None, description="Complete epochs that it holds.")
    world_size: int = Field(ge=1, description="Ranks that wrote it. A full state goes on at the same number only.")
    attempt: int = Field(ge=1)
    algorithm: str
    backend: str
    job: JobIdentity | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    time: datetime
    files: tuple[File, ...] = ()

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def write_manifest(directory: Path, manifest: Manifest, distributions: Sequence[str] = ()) -> Manifest:
    """Hashes every file below the directory and puts the manifest beside them; returns it with files and versions filled in.

    Every file is on the disk, and not in its cache alone, before the manifest is: what it promises outlives a power cut.
    `distributions`: the backend's, whose versions are named beside our own.

    Raises:
        OSError: a file cannot be read, or the manifest not be written.

    """
    _make_readable(directory)
    versions = _versions((*DISTRIBUTIONS, *distributions))
    target, scratch = directory / MANIFEST_NAME, directory / f".{MANIFEST_NAME}.writing"
    with scratch.open("w") as file:
        file.write(" " * sum(LINE_BYTES + len(path.name) for path in directory.rglob("*")))  # is there room, before the hashing
        file.flush()
        complete = manifest.model_copy(update={"files": tuple(_describe(directory)), "versions": versions})
        file.seek(0)
        file.truncate()
        file.write(text_of(complete))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(target)
    return complete


def text_of(manifest: Manifest) -> str:
    """As it is written down."""
    return json.dumps(manifest.model_dump(mode="json", by_alias=True, exclude_none=True), indent=2, sort_keys=True) + "\n"


def seal_of(manifest: Manifest) -> str:
    """The SHA-256 of the manifest itself: it stands for all that the checkpoint holds."""
    return hashlib.sha256(text_of(manifest).encode()).hexdigest()


def read_manifest(directory: Path) -> Manifest:
    """The manifest of that checkpoint.

    Raises:
        OSError: there is none, or it cannot be read.
        ValueError: it is not a manifest.

    """
    return Manifest.model_validate_json((directory / MANIFEST_NAME).read_bytes())


def check_manifest(directory: Path) -> list[str]:
    """What is wrong with the checkpoint by its manifest; empty: every file is there with its size and hash."""
    try:
        manifest = read_manifest(directory)
    except FileNotFoundError:
        return [f"has no {MANIFEST_NAME}: it was never verified"]
    except (OSError, ValidationError) as error:
        return [f"{MANIFEST_NAME} cannot be read: {str(error).splitlines()[0]}"]
    if not manifest.files:
        return [f"{MANIFEST_NAME} names no file"]
    return [problem for file in manifest.files if (problem := _compare(directory, file))]


def _compare(directory: Path, expected: File) -> str | None:
    relative = PurePosixPath(expected.path)
    if relative.is_absolute() or ".." in relative.parts:
        return f"{expected.path} is not below the checkpoint"
    path = directory / relative
    try:
        size = path.stat().st_size
        if size != expected.bytes:
            return f"{expected.path} has {size} bytes instead of {expected.bytes}"
        if _sha256(path) != expected.sha256:
            return f"{expected.path} has changed since it was verified (SHA-256)"
    except FileNotFoundError:
        return f"{expected.path} is missing"
    except OSError as error:
        return f"{expected.path} cannot be read ({error.strerror})"
    return None


def _make_readable(directory: Path) -> None:
    """Safetensors writes with mode 0600; whoever serves the model from the shared volume is another user."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o444)


def _describe(directory: Path) -> Iterator[File]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and MANIFEST_NAME not in path.name:
            relative = path.relative_to(directory).as_posix()
            _settle(path)
            yield File(path=relative, bytes=path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _settle(path: Path) -> None:
    """Has the kernel write the file out."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _versions(distributions: Sequence[str]) -> dict[str, str]:
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
