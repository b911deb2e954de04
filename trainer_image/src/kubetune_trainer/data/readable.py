"""May this process read what it is about to load? transformers calls a file that it may not read one that is missing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from kubetune_trainer.errors import ConfigurationError

READ_BY_TRANSFORMERS = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin")
"""Configuration, tokenizer and weights; what else lies in the directory is nobody's business."""

REMEDY = "let that user read it (chmod -R a+rX on the model's directory), or run as one who may"


def may_enter(field: str, directory: Path) -> None:
    """Whether its existence can be told at all.

    Raises:
        ConfigurationError: a directory above it may not be entered.

    """
    try:
        directory.exists()
    except PermissionError as error:
        raise refusal(field, directory, f"user {os.geteuid()} may not enter a directory above it") from error


def check_readable(field: str, directory: Path) -> None:
    """Opens each file of a model's directory that transformers reads: a mode tells nothing of what a file server refuses.

    Raises:
        ConfigurationError: the directory or one of the files cannot be read; names the first, its mode and both users.

    """
    try:
        for path in files_of(directory):
            with path.open("rb") as file:
                file.read(1)
    except PermissionError as error:
        raise refusal(field, directory, described(Path(error.filename or directory))) from error


def files_of(directory: Path) -> Iterable[Path]:
    paths = sorted(directory.iterdir())  # Path.glob passes over what it may not read
    return [path for path in paths if any(path.match(pattern) for pattern in READ_BY_TRANSFORMERS) and path.is_file()]


def described(path: Path) -> str:
    """As far as the rights of its directory let it be seen."""
    try:
        seen = path.stat()
    except PermissionError:
        return described(path.parent)
    return rights(path.name, seen.st_mode, seen.st_uid, os.geteuid())


def rights(name: str, mode: int, owner: int, asking: int) -> str:
    return f"{name} has mode {stat.S_IMODE(mode):04o} and belongs to user {owner}; this is user {asking}"


def refusal(field: str, directory: Path, why: str) -> ConfigurationError:
    return ConfigurationError(field, str(directory), f"cannot be read by this user ({why})", REMEDY)
