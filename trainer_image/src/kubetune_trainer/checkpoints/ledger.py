"""The ledger: one append-only account of a job's attempts and of what became of each checkpoint.

`python -m kubetune_trainer.checkpoints.ledger DIRECTORY` prints it. One JSON object a line, each written by a single write to a
file opened for appending, so that a killed writer or a full disk costs its own line and no other.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError

from kubetune_trainer.contract import CheckpointKind, FailureClass, Message
from kubetune_trainer.units import size

logger = logging.getLogger(__name__)

LEDGER_NAME = "kubetune-ledger.jsonl"

Event = Literal["attempt", "resumed", "refused", "saved", "save-failed", "quarantined", "removed", "ended"]


class Entry(Message):
    """One line. Fields that a newer version adds are passed over by an older reader."""

    model_config = ConfigDict(extra="ignore")

    time: datetime
    attempt: int = Field(ge=1)
    event: Event = Field(
        description="attempt: one began. resumed, refused: which full state it goes on from, and which not. saved: verified and "
        "sealed by a manifest. save-failed: training went on without. quarantined: damaged, moved aside. removed: made room. "
        "ended: the attempt, with its verdict. An attempt without one was killed."
    )
    checkpoint: str | None = Field(
        default=None, description="Relative to the ledger's directory; another job's is absolute, or a URI."
    )
    kind: CheckpointKind | None = None
    step: int | None = Field(default=None, ge=0, description="Optimizer steps done, over the whole run.")
    epoch: int | None = Field(default=None, ge=0, description="Complete epochs.")
    bytes: int | None = Field(default=None, ge=0, description="Of the checkpoint; of a save that failed: needed.")
    free_bytes: int | None = Field(default=None, ge=0)
    save_seconds: float | None = Field(default=None, description="For which saving a full state held up the training.")
    seconds: float | None = Field(default=None, description="Verifying and hashing, beside the training.")
    manifest_sha256: str | None = None
    world_size: int | None = None
    spec_hash: str | None = None
    failure: FailureClass | None = Field(default=None, alias="class")
    reason: str | None = None

    def __str__(self) -> str:
        what = " ".join(filter(None, (self.kind, self.checkpoint)))
        where = f"step {self.step}" if self.step is not None else ""
        volume = size(self.bytes) if self.bytes is not None else ""
        saved = f"saved in {self.save_seconds:.2f} s" if self.save_seconds is not None else ""
        seconds = f"verified in {self.seconds:.2f} s" if self.seconds is not None else ""
        ranks = f"{self.world_size} rank(s)" if self.world_size is not None else ""
        told = ", ".join(filter(None, (what, where, volume, saved, seconds, ranks, self.failure, self.reason)))
        return f"{self.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}  attempt {self.attempt:<3} {self.event:<12} {told}"


@dataclass(frozen=True)
class Account:
    """What a ledger says. `unreadable`: lines that were torn, by a killed writer or a full disk."""

    entries: tuple[Entry, ...] = ()
    unreadable: int = 0

    def of(self, *events: Event) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.event in events)

    def __str__(self) -> str:
        torn = [f"({self.unreadable} torn line(s) passed over)"] if self.unreadable else []
        return "\n".join([*map(str, self.entries), *torn])


@dataclass(frozen=True)
class Ledger:
    """Writes one job's ledger as one of its attempts."""

    directory: Path
    attempt: int = 1

    def add(self, event: Event, checkpoint: Path | str | None = None, **fields: Any) -> Entry:
        """Appends a line. Where it cannot be written that is logged, and the training goes on."""
        place = None if checkpoint is None else self.name_of(checkpoint)
        entry = Entry(time=datetime.now(UTC), attempt=self.attempt, event=event, checkpoint=place, **fields)
        try:
            append(self.directory / LEDGER_NAME, entry)
        except OSError as error:
            logger.warning("%s lacks a line (%s): %s", self.directory / LEDGER_NAME, error.strerror, entry)
        return entry

    def name_of(self, path: Path | str) -> str:
        inside = isinstance(path, Path) and path.is_relative_to(self.directory)
        return Path(path).relative_to(self.directory).as_posix() if inside else str(path)


def append(path: Path, entry: Message) -> None:
    """One write and one fsync. After a torn line a new one is begun.

    Raises:
        OSError: it could not be written, or not as a whole.

    """
    line = (entry.to_json() + "\n").encode()
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            line = b"\n" + line
        if os.write(file, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    finally:
        os.close(file)


def read_ledger(directory: Path) -> Account:
    """The account in that directory; empty where there is none yet.

    Raises:
        OSError: it is there and cannot be read.

    """
    try:
        lines = (directory / LEDGER_NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return Account()
    entries = [entry_of(line) for line in lines if line.strip()]
    return Account(tuple(e for e in entries if e is not None), entries.count(None))


def entry_of(line: bytes) -> Entry | None:
    """None for a line that is torn."""
    try:
        return Entry.model_validate(json.loads(line))
    except (ValueError, ValidationError):
        return None


def told(entries: Iterable[Entry]) -> Sequence[str]:
    """What a run's report says of its checkpoints beside those that are good."""
    kinds = {"quarantined": "quarantined", "save-failed": "not saved"}
    return [f"{kinds[e.event]}: {e.checkpoint or f'step {e.step}'} ({e.reason})" for e in entries if e.event in kinds]


if __name__ == "__main__":
    print(read_ledger(Path(sys.argv[1])))  # noqa: T201 - the output of a program
