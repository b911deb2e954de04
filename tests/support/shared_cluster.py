"""One control plane for every process of a test run: the first that needs it starts it, the last that leaves ends it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from real_cluster import deploy

from e2e.cluster.__main__ import down


@contextmanager
def control_plane(folder: Path, kubectl: Path, up: Callable[[Path], object]) -> Iterator[Path]:
    """The administrator's kubeconfig: KUBECONFIG, or that of a control plane that `up` starts in `folder`. deploy/ has been applied."""
    given, plane = os.environ.get("KUBECONFIG"), folder / "programs"
    config = Path(given) if given else plane / "admin.kubeconfig"

    def start() -> None:
        if not given:
            up(plane)
        deploy(config, kubectl)

    with shared(folder, start, lambda: None if given else down(plane)):
        yield config


@contextmanager
def shared(folder: Path, start: Callable[[], None], end: Callable[[], None]) -> Iterator[None]:
    """`start` before the first of those that hold the folder, `end` after the last.

    The kernel keeps count by locks on files, which go with their process however it ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    started = folder / "started"
    with (folder / "users").open("w") as users:
        with one_at_a_time(folder):
            fcntl.flock(users, fcntl.LOCK_SH)
            if not started.exists():
                try:
                    start()
                except BaseException:
                    end()  # what of it has begun
                    raise
                started.touch()
        yield
        with one_at_a_time(folder):
            if is_last(users):
                end()
                started.unlink()


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
