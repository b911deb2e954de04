"""Data sets that the traps need, made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from backend_runs import tokenize


@pytest.fixture(scope="session")
def tokens(tiny_data: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 samples of 43 tokens or a little more, all of them in the loss."""
    return tokenize(tiny_data, tiny_model, tmp_path_factory.mktemp("tokens") / "data.jsonl")
