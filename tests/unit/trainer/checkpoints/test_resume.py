"""The first full state that is whole and fits; every refusal is told."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.checkpoints import Manifest, write_manifest
from kubetune_trainer.checkpoints.resume import Fit, choose
from kubetune_trainer.contract import JobIdentity

FIT = Fit("osft", world_size=2, spec_hash="h", total_steps=10)


def state(path: Path, **more: Any) -> str:
    path.mkdir()
    (path / "state.pt").write_bytes(b"weights")
    job = JobIdentity(kind="OSFTJob", namespace="n", name="j", uid="u", spec_hash=more.pop("spec_hash", "h"))
    given = {"kind": "full-state", "step": 5, "world_size": 2, "attempt": 1, "algorithm": "osft", "backend": "b", "job": job}
    write_manifest(path, Manifest(**{**given, "time": datetime(2026, 1, 1, tzinfo=UTC), **more}))
    return str(path)


def test_the_first_that_is_whole(tmp_path: Path):
    torn, whole, older = state(tmp_path / "a", step=8), state(tmp_path / "b", step=6), state(tmp_path / "c", step=4)
    (Path(torn) / "state.pt").write_bytes(b"wei")
    missing = str(tmp_path / "none")

    choice = choose([missing, torn, whole, older], FIT)

    assert choice.path == Path(whole)
    assert choice.step == 6
    assert [(str(r.path), r.damaged) for r in choice.rejected] == [(missing, False), (torn, True)]
    assert "3 bytes instead of 7" in str(choice.rejected[1])


def test_none(tmp_path: Path):
    choice = choose([str(tmp_path / "none")], FIT)

    assert (choice.path, choice.step, len(choice.rejected)) == (None, 0, 1)
    assert choose([], FIT).rejected == ()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "hf"}, "is no full state"),
        ({"algorithm": "sft"}, "is of sft, this run is osft"),
        ({"spec_hash": "other"}, "another training spec"),
        ({"world_size": 1}, "written by 1 ranks, this run has 2"),
        ({"step": 10}, "nothing is left to train"),
    ],
)
def test_what_does_not_fit(tmp_path: Path, change: dict[str, Any], says: str):
    choice = choose([state(tmp_path / "a", **change)], FIT)

    assert choice.path is None
    assert says in str(choice.rejected[0])
    assert not choice.rejected[0].damaged
    assert (choice.resized is not None) == ("world_size" in change)


def test_the_library_knows_no_spec_and_perhaps_no_total(tmp_path: Path):
    path = state(tmp_path / "a", step=50)

    assert choose([path], Fit("osft", world_size=2)).step == 50
