import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubetune.report.fates import Fate
from kubetune.report.metrics import Step
from kubetune.report.seals import CopyError, chosen, copy_out, problems
from kubetune_trainer.checkpoints.manifest import Manifest, seal_of, write_manifest

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def sealed(directory: Path, path: str, step: int, kind: str = "hf") -> Fate:
    place = directory / path
    place.mkdir(parents=True)
    (place / "model.safetensors").write_bytes(b"weights" * step)
    (place / "config.json").write_text("{}")
    manifest = write_manifest(
        place, Manifest(kind=kind, step=step, world_size=1, attempt=1, algorithm="sft", backend="instructlab-training", time=NOW)
    )
    return Fate(path=path, kind=kind, step=step, manifest_sha256=seal_of(manifest))


@pytest.fixture
def fates(tmp_path):
    return [
        sealed(tmp_path, "hf_format/a", 4),
        sealed(tmp_path, "full_state/a", 4, "full-state"),
        sealed(tmp_path, "hf_format/b", 8),
        sealed(tmp_path, "full_state/c", 12, "full-state"),
    ]


def test_what_is_as_it_was_verified(fates, tmp_path):
    assert [problems(fate, tmp_path) for fate in fates] == [[]] * 4


def test_a_changed_byte_a_short_file_a_missing_one(fates, tmp_path):
    file = tmp_path / "hf_format/a/model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(b"Z" + whole[1:])
    assert problems(fates[0], tmp_path) == ["model.safetensors has changed since it was verified (SHA-256)"]
    file.write_bytes(whole[:-1])
    assert problems(fates[0], tmp_path) == [f"model.safetensors has {len(whole) - 1} bytes instead of {len(whole)}"]
    file.unlink()
    assert problems(fates[0], tmp_path) == ["model.safetensors is missing"]


def test_another_manifest_than_the_ledger_has(fates, tmp_path):
    (tmp_path / "hf_format/a/model.safetensors").write_bytes(b"others")
    write_manifest(
        tmp_path / "hf_format/a",
        Manifest(kind="hf", step=4, world_size=1, attempt=1, algorithm="sft", backend="instructlab-training", time=NOW),
    )
    assert problems(fates[0], tmp_path) == ["has another manifest than the ledger says"]


def test_one_that_is_gone(fates, tmp_path):
    assert problems(Fate(path="hf_format/z", kind="hf"), tmp_path) == ["is not there any more"]


@pytest.mark.parametrize(
    ("which", "path"), [("last", "hf_format/b"), ("4", "hf_format/a"), ("12", "full_state/c"), ("best", "hf_format/a")]
)
def test_which_is_meant(fates, tmp_path, which, path):
    steps = [Step(4, loss=1.0), Step(8, loss=2.0), Step(12, loss=math.nan)]
    assert chosen(which, fates, tmp_path, steps).path == path


def test_best_is_by_the_validation_loss_where_there_is_one(fates, tmp_path):
    steps = [Step(4, loss=1.0, validation_loss=3.0), Step(8, loss=2.0, validation_loss=2.5)]
    assert chosen("best", fates, tmp_path, steps).step == 8


@pytest.mark.parametrize("which", ["9", "best", "newest"])
def test_what_is_not_there_is_refused_with_what_is(fates, tmp_path, which):
    with pytest.raises(CopyError, match=r"hf of step 4|name a step or last"):
        chosen(which, fates, tmp_path, [])


def test_without_weights_there_is_no_last(fates, tmp_path):
    with pytest.raises(CopyError, match="full-state of step 12"):
        chosen("last", fates[3:], tmp_path, [])


def test_a_copy_is_whole_and_read_again(fates, tmp_path):
    target = tmp_path / "far" / "model"
    count = copy_out(tmp_path / fates[2].path, target)
    assert count == sum(path.stat().st_size for path in target.iterdir() if "manifest" not in path.name)
    assert problems(Fate(path="far/model", kind="hf", manifest_sha256=fates[2].manifest_sha256), tmp_path) == []
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_an_existing_target_is_left_as_it_is(fates, tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(CopyError, match="is there already"):
        copy_out(tmp_path / fates[2].path, tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []


def test_a_damaged_source_leaves_no_copy(fates, tmp_path):
    (tmp_path / "hf_format/b/config.json").write_text("{ }")
    with pytest.raises(CopyError, match=r"config\.json"):
        copy_out(tmp_path / fates[2].path, tmp_path / "out" / "model")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_target_that_cannot_be_written_is_said(fates, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CopyError, match="was not copied to"):
        copy_out(tmp_path / fates[2].path, tmp_path / "file" / "model")
