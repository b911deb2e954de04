"""Fixtures of the tiny model, made once a session. Read only: a test that changes one makes its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import make_tiny_model, write_messages


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_tied_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny-tied", tied=True)


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 conversations."""
    return write_messages(tmp_path_factory.mktemp("data") / "train.jsonl")
