"""A control group with a memory limit of its own, where this machine lets us make one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
FIRST, SECOND = (ROOT / "memory", "memory.limit_in_bytes"), (ROOT, "memory.max")  # cgroup v1 and v2


@contextlib.contextmanager
def memory_group(limit: int) -> Iterator[Callable[[], None]]:
    """What a child calls to enter it (preexec_fn). Skips the test where control groups cannot be written."""
    root, name = FIRST if FIRST[0].is_dir() else SECOND
    group = root / f"kubetune-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / name).write_text(str(limit))
    except OSError as error:
        with contextlib.suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    try:
        yield lambda: (group / "cgroup.procs").write_text("0") and None
    finally:
        group.rmdir()
