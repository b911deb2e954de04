"""Only the newest attempt moves the pointer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubetune_trainer.checkpoints.last_good import POINTER_NAME, Good, claim, followed, move, read_pointer, spared


def good(attempt: int, step: int, kind: str = "full-state") -> Good:
    path = f"attempt-{attempt}/full_state/step_{step}"
    return Good(path=path, kind=kind, step=step, attempt=attempt, time=datetime(2026, 1, 1, tzinfo=UTC), manifest_sha256="0")  # type: ignore[arg-type]  # a kind


def test_each_kind_has_its_own(tmp_path: Path):
    claim(tmp_path, 1)
    assert move(tmp_path, 1, good(1, 5))
    assert move(tmp_path, 1, good(1, 4, "hf"))
    pointer = read_pointer(tmp_path)
    assert pointer is not None
    assert (pointer.full_state, pointer.weights) == (good(1, 5), good(1, 4, "hf"))


def test_an_attempt_that_was_followed_moves_it_no_more(tmp_path: Path):
    claim(tmp_path, 1)
    move(tmp_path, 1, good(1, 5))
    assert claim(tmp_path, 2).full_state == good(1, 5)

    assert not move(tmp_path, 1, good(1, 6))

    pointer = read_pointer(tmp_path)
    assert pointer is not None
    assert (pointer.attempt, pointer.full_state) == (2, good(1, 5))
    assert claim(tmp_path, 1).attempt == 2
    assert move(tmp_path, 2, good(2, 6))


def test_an_attempt_learns_that_it_was_followed(tmp_path: Path):
    runs = one, two, ten, _ = [tmp_path / name for name in ("attempt-1", "attempt-2", "attempt-10", "a-call")]
    assert not any(map(followed, runs)), "no attempt has begun"
    claim(tmp_path, 2)
    assert [run for run in runs if followed(run)] == [one]
    claim(tmp_path, 10)
    assert [run for run in runs if followed(run)] == [one, two]
    (tmp_path / "attempt-11").mkdir()
    assert [run for run in runs if followed(run)] == [one, two, ten], "its directory is there before the pointer is its"


def test_what_the_next_attempt_goes_on_from_is_spared(tmp_path: Path):
    run = tmp_path / "attempt-1"
    assert spared(run) is None
    claim(tmp_path, 1)
    assert spared(run) is None
    move(tmp_path, 1, good(1, 5))
    assert spared(run) == run / "full_state" / "step_5"
    assert spared(tmp_path / "a-call") is None, "a call of the library has no attempts beside it"


def test_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    claim(tmp_path, 1)
    move(tmp_path, 1, good(1, 5))

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        move(tmp_path, 1, good(1, 6))
    pointer = read_pointer(tmp_path)
    assert pointer is not None
    assert pointer.full_state == good(1, 5)


@pytest.mark.parametrize("content", [b"", b"{", b'{"attempt": "x"}'])
def test_one_that_cannot_be_read_is_none(tmp_path: Path, content: bytes):
    (tmp_path / POINTER_NAME).write_bytes(content)
    assert read_pointer(tmp_path) is None
    assert claim(tmp_path, 1).full_state is None
