"""One ckpt_output_dir for several calls, driven by a backend with faults on demand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedBackend

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.checkpoints.last_good import POINTER_NAME
from kubetune_trainer.contract import JobIdentity
from kubetune_trainer.earlier import RECORD, RunRecord, call_hash, sole_writer, take_up
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import SFTParameters
from kubetune_trainer.run import RunFailedError, RunPlan, RunResult, run_training

Call = Callable[..., RunResult]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "processed.jsonl", 5)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "mine"


@pytest.fixture
def call(tiny_model: Path, data: Path, out: Path) -> Call:
    """A call of the library into `out`."""

    def train(backend: ScriptedBackend | None = None, **more: Any) -> RunResult:
        given = {
            "algorithm": "sft",
            "backend": backend or ScriptedBackend(),
            "model": str(tiny_model),
            "dataset": str(data),
            "dataset_format": "processed",
            "output_dir": out,
            "output_uri": str(out),
            "parameters": SFTParameters(num_epochs=2, effective_batch_size=8),
            "device": "cpu",
            "poll_interval": 0.01,
        }
        return run_training(RunPlan(**{**given, **more}))

    return train


def write(path: Path, token: int) -> Path:
    path.write_text((json.dumps({"input_ids": [token] * 30, "labels": [token] * 30}) + "\n") * 40)
    return path


def killed_after(step: int) -> ScriptedBackend:
    return ScriptedBackend(stop_after=step, error=RuntimeError("killed"))


def record(directory: Path) -> RunRecord:
    return RunRecord.model_validate_json((directory / RECORD).read_text())


def test_each_call_trains_and_a_finished_run_is_set_aside(call: Call, out: Path, caplog: pytest.LogCaptureFixture):
    """Both libraries would go on from its full state without a word, and train nothing."""
    out.mkdir()
    (out / "notes.txt").write_text("the user's own")
    for count in (1, 2, 3):
        result = call()
        assert (len(result.losses), result.resumed_from) == (10, None)
        assert result.checkpoint is not None
        assert result.checkpoint.uri == str(out / "hf_format" / "samples_80")
        assert len(list(out.glob("previous-*"))) == count - 1

    assert sorted(p.name for p in (out / "previous-2").iterdir()) == [
        "full_state",
        "hf_format",
        POINTER_NAME,
        RECORD,
        "training_params_and_metrics_global0.jsonl",
    ]
    assert (out / "notes.txt").read_text() == "the user's own"
    assert record(out).outcome == result.outcome
    assert f"{out} holds an earlier run: it was moved to {out}/previous-1" in caplog.text
    assert f"training starts from the start: the earlier run in {out}/previous-2 reached its end" in caplog.text


def test_the_same_calls_own_unfinished_run_is_gone_on_with(call: Call, out: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(RunFailedError):
        call(killed_after(7))
    assert record(out).outcome is not None

    backend = ScriptedBackend()
    result = call(backend)

    assert backend.runs[0].resume_from == out / "previous-1" / "full_state" / "step_5"
    assert result.resumed_from == str(out / "previous-1" / "full_state" / "step_5")
    assert (result.reached_end, result.step, len(result.losses)) == (True, 10, 5)
    assert f"{out} holds an unfinished run of this same call: it is gone on with" in caplog.text
    assert "from the start" not in caplog.text

    assert call().resumed_from is None  # that one has reached its end


def test_a_run_killed_again_before_it_saved_anything_is_gone_on_with_from_the_first_one(call: Call, out: Path):
    with pytest.raises(RunFailedError):
        call(killed_after(7))
    (out / RECORD).write_text(record(out).model_copy(update={"outcome": None}).to_json())  # as kill -9 leaves it
    with pytest.raises(RunFailedError):
        call(killed_after(6))
    assert not (out / "full_state").exists()

    assert call().resumed_from == str(out / "previous-1" / "full_state" / "step_5")


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": SFTParameters(num_epochs=2, effective_batch_size=8, learning_rate=1e-3)},
        {"further": {"adamw_eps": 1e-7}},
        {"dataset": "other"},
        {"model": "other"},
    ],
    ids=["argument", "further", "data", "model"],
)
def test_another_calls_unfinished_run_is_not(
    call: Call, change: dict[str, Any], out: Path, tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with pytest.raises(RunFailedError):
        call(killed_after(7))
    if "dataset" in change:
        change = {"dataset": str(write(tmp_path / "other.jsonl", 6))}
    if "model" in change:
        change = {"model": str(shutil.copytree(tiny_model, tmp_path / "copy"))}
    result = call(**change)
    assert (result.resumed_from, len(result.losses)) == (None, 10)
    assert f"previous-1 was another call's: model, data or arguments differ" in caplog.text  # noqa: F541 - one form for all
    assert call().resumed_from is None  # and what lies beneath another call's is not gone on with either


def test_a_state_that_has_changed_since_is_not_gone_on_from(call: Call, out: Path, caplog: pytest.LogCaptureFixture):
    with pytest.raises(RunFailedError):
        call(killed_after(7))
    (out / "full_state" / "step_5" / "optimizer.bin").write_bytes(bytes(999))
    assert call().resumed_from is None
    assert "optimizer.bin has 999 bytes instead of 1000" in caplog.text
    assert "none of 1 full states can be used: training starts from the start" in caplog.text


@pytest.mark.parametrize(("fault", "says"), [("no state", "left no full state"), ("no record", f"has no {RECORD}")])
def test_what_is_missing_is_said(call: Call, out: Path, fault: str, says: str, caplog: pytest.LogCaptureFixture):
    with pytest.raises(RunFailedError):
        call(killed_after(7))
    if fault == "no state":
        shutil.rmtree(out / "full_state")
    else:
        (out / RECORD).unlink()
    assert call().resumed_from is None
    assert f"training starts from the start: the earlier run in {out}/previous-1 {says}" in caplog.text


def test_a_call_that_is_refused_disturbs_nothing(call: Call, out: Path, tmp_path: Path):
    call()
    before = sorted(path.name for path in out.iterdir())
    with pytest.raises(ConfigurationError):
        call(model=str(tmp_path / "none"))
    assert sorted(path.name for path in out.iterdir()) == before


def test_several_nodes_start_from_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture, call: Call, out: Path):
    with pytest.raises(RunFailedError):
        call(killed_after(7))
    assert call(torchrun=Torchrun(nnodes=2, endpoint="m:1")).resumed_from is None
    assert "is not gone on with by several nodes" in caplog.text


def test_two_runs_at_once_are_refused(call: Call, out: Path):
    def intrude(step: int) -> None:
        if step == 3:
            with pytest.raises(ConfigurationError, match="is being written by another run; wait for its end"):
                call()

    assert call(ScriptedBackend(on_step=intrude)).reached_end
    with sole_writer(out):
        pass


def test_a_jobs_attempt_keeps_no_record(call: Call, out: Path):
    call(job=JobIdentity(kind="SFTJob", namespace="n", name="j", uid="u", spec_hash="h"))
    assert not (out / RECORD).exists()


def test_what_the_hash_holds(tmp_path: Path):
    class Callback:
        pass

    data = write(tmp_path / "d", 5)
    assert call_hash({"a": 1, "b": [Callback()]}, data) == call_hash({"b": [Callback()], "a": 1}, data)
    assert call_hash({"a": 1}, data) != call_hash({"a": 2}, data)


def test_nothing_there_is_nothing_said(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert take_up(tmp_path, "h", alone=True) == ()
    assert caplog.text == ""
    assert record(tmp_path) == RunRecord(call="h")
