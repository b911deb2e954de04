"""What several processes of one test run need is made by the first of them, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

DONE = "done"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The directory `name` of this test run, which `make` filled. Read only."""
    base = factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    shared.mkdir(exist_ok=True)
    directory = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not (shared / f"{name}.{DONE}").exists():
            directory.mkdir()
            make(directory)
            (shared / f"{name}.{DONE}").touch()
    return directory
