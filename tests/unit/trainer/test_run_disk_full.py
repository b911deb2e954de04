"""The output's disk is full: a real one, small; the backend is scripted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedBackend, save_trained
from small_disk import fill, small_disk
from waiting import until

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.checkpoints import check_manifest
from kubetune_trainer.checkpoints.ledger import LEDGER_NAME, read_ledger
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.plugins.saving import Unsaved, note_unsaved
from kubetune_trainer.run import RunFailedError, run_training


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """16 MB in the place of the job's directory; a checkpoint of the tiny model takes half a MB."""
    with small_disk(tmp_path / "job", 16 << 20) as place:
        yield place


def first_epoch_is_sealed(disk: Path) -> Any:
    """For a backend's on_step: what is looked at later must not be what is still to be verified."""

    def at(step: int) -> None:
        if step == 6:
            until(lambda: len(read_ledger(disk).of("saved")) == 2, "the first epoch's checkpoints are sealed")

    return at


def test_a_manifest_without_room_is_written_when_there_is_some(plan_of: Any, disk: Path, caplog: pytest.LogCaptureFixture):
    """The disk fills once the first epoch's weights are saved, and is cleared later."""

    class Squeezed(ScriptedBackend):
        def save_epoch(self, run: BackendRun, step: int) -> None:
            super().save_epoch(run, step)
            if step == 5:
                fill(disk)

    def at(step: int) -> None:
        if step == 6:  # which proves that the weights of step 5 are whole; its line of metrics finds room in the file's last page
            until(lambda: "the manifest of samples_40 could not be written" in caplog.text, "the shortage is seen")
            (disk / "filler").unlink()

    result = run_training(plan_of(Squeezed(full_states=False, on_step=at)))

    assert result.reached_end
    assert caplog.text.count("it is tried again, training goes on") == 1
    assert check_manifest(disk / "attempt-1" / "hf_format" / "samples_40") == []
    assert read_ledger(disk).of("saved")[0].step == 5


def test_a_manifest_that_never_finds_room_is_a_full_disk(plan_of: Any, disk: Path):
    class Full(ScriptedBackend):
        def save_epoch(self, run: BackendRun, step: int) -> None:
            super().save_epoch(run, step)
            if step == 10:
                fill(disk)

    with pytest.raises(RunFailedError) as caught:
        run_training(plan_of(Full(on_step=first_epoch_is_sealed(disk))))

    assert caught.value.failure_class is FailureClass.DISK_FULL
    assert "the manifest of samples_80 could not be written: " in str(caught.value)
    assert str(disk / "attempt-1" / "hf_format" / "samples_80") in str(caught.value)
    assert " bytes free; free space there or name a larger volume" in str(caught.value)
    assert check_manifest(disk / "attempt-1" / "full_state" / "step_5") == []  # the last good one stays
    (disk / "filler").unlink()
    second = run_training(plan_of(attempt=2, output_dir=disk / "attempt-2", output_uri="pvc://runs/job/attempt-2"))
    assert (second.reached_end, second.resumed_from) == (True, "pvc://runs/job/attempt-1/full_state/step_5")


def test_weights_without_room_end_the_run_and_leave_none_taken(plan_of: Any, disk: Path, tiny_model: Path):
    """safetensors' own words; what was written of the checkpoint is gone, so that the next attempt has the room."""

    class NoRoom(ScriptedBackend):
        def save_epoch(self, run: BackendRun, step: int) -> None:
            if step == 5:
                super().save_epoch(run, step)
                return
            fill(disk, leave=100_000)
            save_trained(run.model_dir, run.output_dir / "hf_format" / "samples_80")

    with pytest.raises(RunFailedError) as caught:
        run_training(plan_of(NoRoom(on_step=first_epoch_is_sealed(disk))))

    assert caught.value.failure_class is FailureClass.DISK_FULL
    assert f"{disk / 'attempt-1'}: no space left" in str(caught.value)
    assert " kB needed, " in str(caught.value)
    assert not (disk / "attempt-1" / "hf_format" / "samples_80").exists()
    assert check_manifest(disk / "attempt-1" / "hf_format" / "samples_40") == []
    assert read_ledger(disk).of("ended")[-1].failure is FailureClass.DISK_FULL
    assert tiny_model.is_dir()


def test_lines_of_metrics_that_were_lost_are_a_full_disk_and_no_bug_of_the_backend(plan_of: Any, disk: Path):
    class Wordless(ScriptedBackend):
        def log(self, run: BackendRun, step: int) -> None:
            if step == 8:
                fill(disk)
            if step < 8:
                super().log(run, step)

        def save_epoch(self, run: BackendRun, step: int) -> None:
            if step == 5:
                super().save_epoch(run, step)

    with pytest.raises(RunFailedError) as caught:
        run_training(plan_of(Wordless(on_step=first_epoch_is_sealed(disk))))
    assert caught.value.failure_class is FailureClass.DISK_FULL
    assert "the run did not come to its end: " in str(caught.value)


def test_tokenised_data_without_room(plan_of: Any, disk: Path):
    backend = ScriptedBackend()
    (disk / "attempt-1" / "data").mkdir(parents=True)
    filler = fill(disk, leave=8192)
    with pytest.raises(TrainingError) as caught:
        run_training(plan_of(backend))
    assert caught.value.failure_class is FailureClass.DISK_FULL
    assert f"the tokenised data could not be written: {disk / 'attempt-1' / 'data' / 'node-0'}: no space left" in str(caught.value)
    assert backend.runs == []
    filler.unlink()
    shutil.rmtree(disk / "attempt-1")
    assert run_training(plan_of()).reached_end


def test_a_state_that_was_not_saved_is_told(plan_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "job" / "attempt-1"

    class Short(ScriptedBackend):
        def log(self, run: BackendRun, step: int) -> None:
            super().log(run, step)
            if step == 3:
                logs = out / "logs" / "node-0"
                logs.mkdir(parents=True)
                monkeypatch.setenv("KUBETUNE_LOG_DIR", str(logs))
                note_unsaved(Unsaved(3, 1_600_000_000, 400_000_000, "too little space for it"), out)

    result = run_training(plan_of(Short()))
    assert result.reached_end
    assert result.outcome is not None
    assert result.outcome.message.endswith("; not saved: step 3 (too little space for it)")
    (entry,) = read_ledger(tmp_path / "job").of("save-failed")
    assert (entry.step, entry.bytes, entry.free_bytes) == (3, 1_600_000_000, 400_000_000)
    assert (tmp_path / "job" / LEDGER_NAME).is_file()
