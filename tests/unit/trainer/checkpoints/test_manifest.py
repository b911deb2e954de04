"""The manifest tells a whole checkpoint from a torn one."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.checkpoints import Manifest, check_manifest, read_manifest, write_manifest
from kubetune_trainer.contract import MANIFEST_NAME, JobIdentity

JOB = JobIdentity(kind="SFTJob", namespace="n", name="j", uid="u", spec_hash="h")


def manifest(**more: Any) -> Manifest:
    given = {
        "kind": "full-state",
        "step": 5,
        "epoch": 1,
        "world_size": 2,
        "attempt": 3,
        "algorithm": "sft",
        "backend": "b",
        "job": JOB,
    }
    return Manifest(**{**given, "time": datetime(2026, 1, 1, tzinfo=UTC), **more})


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "step_5"
    (path / "shards").mkdir(parents=True)
    (path / "state.pt").write_bytes(b"weights")
    (path / "shards" / "rank_0.pt").write_bytes(b"optimizer")
    (path / "shards" / "empty").write_bytes(b"")
    return path


def test_what_it_says(state: Path):
    written = write_manifest(state, manifest(), ("instructlab-training", "not-installed"))
    text = json.loads((state / MANIFEST_NAME).read_text())

    assert written == read_manifest(state)
    assert {f["path"]: (f["bytes"], f["sha256"]) for f in text["files"]} == {
        "state.pt": (7, hashlib.sha256(b"weights").hexdigest()),
        "shards/rank_0.pt": (9, hashlib.sha256(b"optimizer").hexdigest()),
        "shards/empty": (0, hashlib.sha256(b"").hexdigest()),
    }
    assert (text["step"], text["epoch"], text["worldSize"], text["kind"], text["attempt"]) == (5, 1, 2, "full-state", 3)
    assert text["job"]["specHash"] == "h"
    assert set(text["versions"]) == {"kubetune", "torch", "transformers", "accelerate", "instructlab-training"}
    assert written.total_bytes == 16
    assert check_manifest(state) == []


def test_written_again_it_does_not_name_itself(state: Path):
    first = write_manifest(state, manifest())
    again = write_manifest(state, manifest())

    assert again.files == first.files
    assert sorted(p.name for p in state.iterdir()) == [MANIFEST_NAME, "shards", "state.pt"]


def test_written_last_and_atomically(state: Path, monkeypatch: pytest.MonkeyPatch):
    """Killed before the rename: there is no manifest, so there is no checkpoint."""

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_manifest(state, manifest())

    assert check_manifest(state) == [f"has no {MANIFEST_NAME}: it was never verified"]


def damage(name: str, content: bytes | None) -> Any:
    def do(path: Path) -> None:
        (path / name).unlink() if content is None else (path / name).write_bytes(content)

    return do


def rewrite(**change: Any) -> Any:
    def do(path: Path) -> None:
        values = json.loads((path / MANIFEST_NAME).read_text())
        (path / MANIFEST_NAME).write_text(json.dumps({**values, **change}))

    return do


SHA = "0" * 64


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (damage("shards/rank_0.pt", None), "shards/rank_0.pt is missing"),
        (damage("shards/rank_0.pt", b"optim"), "shards/rank_0.pt has 5 bytes instead of 9"),
        (damage("state.pt", b"weighty"), "state.pt has changed"),
        (damage(MANIFEST_NAME, None), "was never verified"),
        (damage(MANIFEST_NAME, b"{"), "cannot be read"),
        (damage(MANIFEST_NAME, b""), "cannot be read"),
        (rewrite(files=[]), "names no file"),
        (rewrite(worldSize=0), "cannot be read"),
        (rewrite(files=[{"path": "../secret", "bytes": 1, "sha256": SHA}]), "is not below the checkpoint"),
        (rewrite(files=[{"path": "/etc/passwd", "bytes": 1, "sha256": SHA}]), "is not below the checkpoint"),
    ],
)
def test_torn(state: Path, breaks: Any, says: str):
    write_manifest(state, manifest())
    breaks(state)

    problems = check_manifest(state)

    assert len(problems) == 1
    assert says in problems[0]


def test_no_directory(tmp_path: Path):
    assert check_manifest(tmp_path / "none")


def test_files_become_readable_for_other_users(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"x")
    weights.chmod(0o600)
    write_manifest(tmp_path, manifest())
    assert weights.stat().st_mode & 0o777 == 0o644
