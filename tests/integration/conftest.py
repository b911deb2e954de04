from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Workspace


@pytest.fixture
def workspace(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path, tiny_model, tiny_data)
    yield workspace
    workspace.close()
