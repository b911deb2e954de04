from __future__ import annotations

import errno
from pathlib import Path

import pytest
from small_disk import fill, small_disk

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.disk import free_bytes, full_disk, is_full, naming_the_disk, says_full, size_below
from kubetune_trainer.errors import ConfigurationError, TrainingError


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EACCES, "x"), False),
        (RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("unexpected pos 64 vs 0"), False),
    ],
)
def test_how_a_full_disk_shows(error: Exception, full: bool):
    assert says_full(error) is full
    outer = ConfigurationError("a", 1, "b", "c")
    outer.__cause__ = error
    assert says_full(outer) is full


def test_a_real_full_disk_is_named(tmp_path: Path):
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        assert not is_full(disk)
        fill(disk)
        assert is_full(disk)
        assert free_bytes(disk / "not" / "there") == 0
        with pytest.raises(TrainingError) as caught, naming_the_disk("the data could not be written", disk / "data"):
            (disk / "data").write_bytes(b"x" * 8192)
    assert caught.value.failure_class is FailureClass.DISK_FULL
    assert str(caught.value) == (
        f"the data could not be written: {disk}/data: no space left, 0 bytes free; free space there or name a larger volume"
    )


def test_the_space_needed_is_told_where_it_is_known(tmp_path: Path):
    assert ", 1.6 GB needed, " in str(full_disk("x", tmp_path, 1_600_000_000))


def test_other_errors_stay_what_they_are():
    with pytest.raises(KeyError), naming_the_disk("x", Path("/")):
        raise KeyError


def test_size(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(bytes(7))
    (tmp_path / "c").write_bytes(bytes(5))
    assert size_below(tmp_path) == 12
