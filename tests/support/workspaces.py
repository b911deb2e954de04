"""Fixtures of jobs that `kubetune run` trains on the embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from disturbed import ROWS
from runs import Workspace
from tiny import write_messages


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path, tiny_model, tiny_data)
    yield workspace
    workspace.close()


@pytest.fixture
def long_data(tmp_path: Path) -> Path:
    """Epochs long enough to be hit in the middle."""
    return write_messages(tmp_path / "long.jsonl", rows=ROWS)
