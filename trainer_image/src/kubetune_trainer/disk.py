"""A full disk: how it shows, and how it is told. Used by the launcher and within the ranks; imports nothing heavy."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.units import size

FULL = (errno.ENOSPC, errno.EDQUOT)
SAYS_FULL = re.compile(r"No space left on device|Errno 28\b|Disk quota exceeded|os error 28\b")
"""How libraries say it that raise something else than an OSError (safetensors, pyarrow)."""

NOTHING_LEFT = 1 << 20
"""With fewer bytes free than this, a write that failed failed for want of space: torch.save then speaks of positions only."""


def says_full(error: BaseException) -> bool:
    """Whether this error, or one that it came from, is that of a full disk or quota."""
    seen: BaseException | None = error
    while seen is not None:
        if (isinstance(seen, OSError) and seen.errno in FULL) or SAYS_FULL.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def free_bytes(path: Path) -> int:
    """What this user may still write at the path or, where it does not exist, at the nearest directory above it."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def is_full(path: Path) -> bool:
    return free_bytes(path) < NOTHING_LEFT


def size_below(path: Path) -> int:
    """Bytes of all files below the directory; what disappears meanwhile counts nothing."""
    sizes = 0
    for root, _, names in os.walk(path):
        for name in names:
            try:
                sizes += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - os.walk's own terms
            except FileNotFoundError:
                continue
    return sizes


def room(path: Path, needed: int | None = None) -> str:
    """What a message about a full disk says: where, how much is needed, how much is free."""
    need = f", {size(needed)} needed" if needed else ""
    return f"{path}: no space left{need}, {size(free_bytes(path))} free"


def full_disk(what: str, path: Path, needed: int | None = None, *, log_tail: str | None = None) -> TrainingError:
    """The error of class DiskFull that names the path, the space needed (bytes, where it is known) and what is free."""
    remedy = "free space there or name a larger volume"
    return TrainingError(FailureClass.DISK_FULL, f"{what}: {room(path, needed)}; {remedy}", log_tail=log_tail)


@contextlib.contextmanager
def naming_the_disk(what: str, path: Path) -> Iterator[None]:
    """Within it, an error of a full disk becomes one that says what was written there, and how much is free."""
    try:
        yield
    except Exception as error:
        if not says_full(error) or isinstance(error, TrainingError):
            raise
        raise full_disk(what, path) from error
