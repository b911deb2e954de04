"""One control plane for every process of a test run: the first that needs it starts it, the last that leaves ends it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def shared(folder: Path, start: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """`start` before the first of those that hold the folder, `end` after the last.

    The kernel keeps count by locks on files, which go with their process however it ends. `start` must not mind to find the work done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("w") as users:
        with one_at_a_time(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            start()
        yield
        with one_at_a_time(folder):
            if is_last(users):
                end()


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    with (folder / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


def is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
