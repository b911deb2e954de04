"""The last-good pointer: which checkpoints a job would go on from, replaced atomically, by the newest attempt alone.

A lost node's containers run on: an attempt that another one followed finds that out here, no longer counts, and removes nothing
more: the later one may be reading it.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from kubetune_trainer.contract import CheckpointKind, Message

POINTER_NAME = "kubetune-last-good.json"

ATTEMPT = "attempt-"
"""Begins the name of an attempt's directory (contract.Contract.attempt_dir)."""


class Good(Message):
    """A checkpoint that was verified."""

    path: str  # relative to the pointer's directory
    kind: CheckpointKind
    step: int
    attempt: int
    time: datetime
    manifest_sha256: str


class LastGood(Message):
    """`attempt` is the newest that began; only that one may move the pointer."""

    version: Literal["v1"] = "v1"
    attempt: int
    full_state: Good | None = None
    weights: Good | None = None


def read_pointer(directory: Path) -> LastGood | None:
    """None where there is none, or none that can be read: then the manifests alone count."""
    try:
        return LastGood.model_validate_json((directory / POINTER_NAME).read_bytes())
    except (OSError, ValueError):
        return None


def number_of(run: str) -> int | None:
    """Which attempt writes into the directory of that name; None: a call of the library does."""
    number = run.removeprefix(ATTEMPT)
    return int(number) if run.startswith(ATTEMPT) and number.isdigit() else None


def followed(run: Path) -> bool:
    """Whether a later attempt has begun than the one that writes into this directory.

    Its own directory is the first thing that it makes. That shows where the pointer does not: a disk was full, or this attempt
    moved it in the very moment.
    """
    own = number_of(run.name)
    if own is None:
        return False
    pointer = read_pointer(run.parent)
    later = [pointer.attempt] if pointer else []
    later += [number_of(other.name) or 0 for other in run.parent.glob(f"{ATTEMPT}*")]
    return max(later, default=0) > own


def spared(run: Path) -> Path | None:
    """The full state that an attempt which begins now will go on from."""
    pointer = read_pointer(run.parent) if number_of(run.name) is not None else None
    return run.parent / pointer.full_state.path if pointer and pointer.full_state else None


def claim(directory: Path, attempt: int) -> LastGood:
    """Says that this attempt began and returns what was good before it.

    Raises:
        OSError: it cannot be written.

    """
    before = read_pointer(directory) or LastGood(attempt=attempt)
    if before.attempt < attempt or not (directory / POINTER_NAME).exists():
        write_pointer(directory, before.model_copy(update={"attempt": attempt}))
    return before


def move(directory: Path, attempt: int, good: Good) -> bool:
    """Points at a new checkpoint. False, and nothing is changed, where a later attempt has begun.

    Raises:
        OSError: it cannot be written.

    """
    now = read_pointer(directory) or LastGood(attempt=attempt)
    if now.attempt > attempt:
        return False
    place = "full_state" if good.kind == "full-state" else "weights"
    write_pointer(directory, now.model_copy(update={"attempt": attempt, place: good}))
    return True


def write_pointer(directory: Path, pointer: LastGood) -> None:
    scratch = directory / f".{POINTER_NAME}.writing"
    with scratch.open("w") as file:
        file.write(pointer.to_json() + "\n")
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(directory / POINTER_NAME)
