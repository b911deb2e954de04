"""A model that this user may not read is refused in words that say so, and not as one that is missing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data.preflight import check_model
from kubetune_trainer.data.source import read_lines
from kubetune_trainer.errors import ConfigurationError, DataError

NOBODY = 65534


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: the file system is asked as another user. Whoever is not root is one already."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


@pytest.fixture
def volume(tiny_model: Path) -> Iterator[Path]:
    """A directory that every user may enter (pytest's own may not be), with a model in it."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        shutil.copytree(tiny_model, root / "model")
        for path in (root / "model", *(root / "model").iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        check_model(root / "model", needs_chat_template=True)  # imports what it needs while this user may read that
        yield root
        (root / "model").chmod(0o755)


def refusal(model: Path) -> ConfigurationError:
    with as_nobody(), pytest.raises(ConfigurationError) as caught:
        check_model(model, needs_chat_template=True)
    assert (caught.value.field, caught.value.value) == ("model_path", str(model))
    assert caught.value.failure_class is FailureClass.USER_ERROR
    return caught.value


def test_what_all_may_read_passes(volume: Path):
    with as_nobody():
        assert check_model(volume / "model", needs_chat_template=True).max_positions == 512


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_file_of_another_user(volume: Path, name: str):
    (volume / "model" / name).chmod(0o000)
    owner, asking = os.geteuid(), os.geteuid() or NOBODY
    said = str(refusal(volume / "model"))
    assert f"{name} has mode 0000 and belongs to user {owner}; this is user {asking}" in said
    assert "chmod -R a+rX" in said


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_directory_that_may_not_be_entered(volume: Path, mode: int):
    (volume / "model").chmod(mode)
    assert f"model has mode {mode:04o}" in str(refusal(volume / "model"))


def test_a_directory_above_that_may_not_be_entered(volume: Path):
    inner = volume / "model" / "inner"
    inner.mkdir()
    (volume / "model").chmod(0o000)
    assert "may not enter a directory above it" in str(refusal(inner))


def test_what_transformers_does_not_load_may_be_anybodys(volume: Path):
    (volume / "model" / "notes.md").write_text("x")
    (volume / "model" / "notes.md").chmod(0o000)
    with as_nobody():
        check_model(volume / "model", needs_chat_template=True)


def test_a_data_set_behind_such_a_directory(volume: Path):
    (volume / "model" / "train.jsonl").write_text("{}\n")
    (volume / "model").chmod(0o000)
    with as_nobody(), pytest.raises(DataError, match="cannot be read"):
        list(read_lines(volume / "model" / "train.jsonl"))
