"""Fixtures of the tiny model, made once a test run. Read only: a test that changes one makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from shared_runs import made_once
from tiny import make_tiny_model, write_messages


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "tiny-llama", make_tiny_model)


@pytest.fixture(scope="session")
def tiny_tied_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "tiny-tied", lambda path: make_tiny_model(path, tied=True))


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 conversations."""
    return write_messages(tmp_path_factory.mktemp("data") / "train.jsonl")
