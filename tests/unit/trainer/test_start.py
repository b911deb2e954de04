"""From where the next attempt goes on: real files that are damaged, a backend that is scripted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedBackend

from kubetune_trainer.backends.base import BackendRun, Torchrun
from kubetune_trainer.checkpoints.last_good import read_pointer
from kubetune_trainer.checkpoints.ledger import read_ledger
from kubetune_trainer.contract import MANIFEST_NAME, CheckpointPolicy, FailureClass
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import SFTParameters
from kubetune_trainer.run import RunFailedError, RunResult, run_training

THREE = SFTParameters(num_epochs=3, effective_batch_size=8)


def flip_a_bit(state: Path) -> None:
    content = bytearray((state / "optimizer.bin").read_bytes())
    content[500] ^= 1
    (state / "optimizer.bin").write_bytes(content)


def truncate(state: Path) -> None:
    (state / "optimizer.bin").write_bytes(b"")


def lose(state: Path) -> None:
    (state / "optimizer.bin").unlink()


def unseal(state: Path) -> None:
    (state / MANIFEST_NAME).unlink()


@pytest.fixture
def attempt(plan_of: Any, tmp_path: Path) -> Callable[..., RunResult]:
    """Attempt `number` of one job of three epochs, five steps each."""

    def run(number: int, backend: ScriptedBackend | None = None, **more: Any) -> RunResult:
        place = f"job/attempt-{number}"
        given = {"attempt": number, "output_dir": tmp_path / place, "output_uri": f"pvc://runs/{place}", "parameters": THREE}
        return run_training(plan_of(backend or ScriptedBackend(epochs=3), **given, **more))

    return run


@pytest.fixture
def failed(attempt: Callable[..., RunResult], tmp_path: Path) -> Path:
    """The job's directory after an attempt that died in its third epoch and left the states of steps 5 and 10."""
    with pytest.raises(RunFailedError):
        attempt(1, ScriptedBackend(epochs=3, stop_after=12, error=RuntimeError("killed")))
    return tmp_path / "job"


def events(job: Path, number: int) -> list[tuple[str, str | None]]:
    return [(entry.event, entry.checkpoint) for entry in read_ledger(job).entries if entry.attempt == number]


def test_the_last_good_one_is_gone_on_from_though_nobody_was_told_of_it(attempt: Callable[..., RunResult], failed: Path):
    """kubetune or its node died before the report of step 10 was seen: the operator names step 5, or nothing."""
    result = attempt(2, resume_from=(str(failed / "attempt-1" / "full_state" / "step_5"),))
    assert result.resumed_from == "pvc://runs/job/attempt-1/full_state/step_10"
    assert len(result.losses) == 5
    pointer = read_pointer(failed)
    assert pointer is not None
    assert pointer.weights is not None
    assert pointer.weights.path == "attempt-2/hf_format/samples_120"


@pytest.mark.parametrize("damage", [flip_a_bit, truncate, lose, unseal])
def test_a_damaged_state_is_quarantined_and_the_one_before_it_is_gone_on_from(
    attempt: Callable[..., RunResult], failed: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    states = [failed / "attempt-1" / "full_state" / f"step_{step}" for step in (10, 5)]
    damage(states[0])
    backend = ScriptedBackend(epochs=3)

    result = attempt(2, backend, resume_from=tuple(map(str, states)))

    assert result.reached_end
    assert backend.runs[0].resume_from == states[1]
    assert not states[0].exists()
    (aside,) = (failed / "quarantine").iterdir()
    assert aside.name.endswith(".attempt-1.full_state.step_10")
    assert f"quarantined: {states[0]} was moved to {aside}" in caplog.text
    assert result.outcome is not None
    assert "quarantined: attempt-1/full_state/step_10" in result.outcome.message
    assert "quarantined" in {entry.event for entry in result.ledger}
    assert events(failed, 2)[:3] == [
        ("attempt", None),
        ("quarantined", "attempt-1/full_state/step_10"),
        ("resumed", "attempt-1/full_state/step_5"),
    ]


def test_states_of_earlier_attempts_go_once_there_is_a_newer_one(attempt: Callable[..., RunResult], failed: Path):
    one = failed / "attempt-1" / "full_state"
    shutil.rmtree(one / "step_10")
    result = attempt(2, resume_from=(str(one / "step_5"),), checkpoint=CheckpointPolicy(keep=1))
    assert result.resumed_from is not None
    assert result.resumed_from.endswith("step_5")
    assert list(one.iterdir()) == []
    assert ("removed", "attempt-1/full_state/step_5") in events(failed, 2)


def test_the_ledger_tells_each_step(attempt: Callable[..., RunResult], failed: Path):
    attempt(2)
    first, second = events(failed, 1), events(failed, 2)
    assert first[0] == ("attempt", None)
    assert {event for event in first if event[0] == "saved"} == {
        ("saved", f"attempt-1/{name}")
        for name in ("full_state/step_5", "full_state/step_10", "hf_format/samples_40", "hf_format/samples_80")
    }
    assert first[-1] == ("ended", None)
    assert second[:2] == [("attempt", None), ("resumed", "attempt-1/full_state/step_10")]
    assert ("saved", "attempt-2/hf_format/samples_120") in second
    assert ("removed", "attempt-1/full_state/step_5") in second
    assert second[-1] == ("ended", None)
    ends = read_ledger(failed).of("ended")
    assert [(end.failure, end.step) for end in ends] == [(FailureClass.BACKEND_ERROR, 12), (None, 15)]


def test_an_attempt_that_was_followed_gives_way(
    attempt: Callable[..., RunResult], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """A lost node's containers run on, four minutes after the next attempt began."""
    out = tmp_path / "job" / "attempt-1"

    class Followed(ScriptedBackend):
        def run(self, run: BackendRun) -> None:
            (tmp_path / "job" / "kubetune-last-good.json").write_text('{"attempt": 2}')
            super().run(run)

    attempt(1, Followed(epochs=3))
    assert (out / "stop").exists()
    assert caplog.text.count("a later attempt than 1 has begun: this one ends") == 1
    pointer = read_pointer(tmp_path / "job")
    assert pointer is not None
    assert (pointer.attempt, pointer.full_state, pointer.weights) == (2, None, None)


class AsLongAsTold(ScriptedBackend):
    """Trains the epochs that it is given."""

    def total_steps(self, run: BackendRun) -> int | None:
        self.epochs = run.parameters["num_epochs"]
        return super().total_steps(run)


@pytest.fixture
def call(plan_of: Any, tmp_path: Path) -> Callable[..., RunResult]:
    """A call of the library."""

    def train(ranks: int, backend: ScriptedBackend | None = None) -> RunResult:
        out, torchrun = tmp_path / "mine", Torchrun(nproc_per_node=ranks)
        given = {"output_dir": out, "output_uri": str(out), "parameters": THREE, "torchrun": torchrun, "job": None}
        return run_training(plan_of(backend or ScriptedBackend(epochs=3), **given))

    return train


@pytest.fixture
def by_two(call: Callable[..., RunResult], tmp_path: Path) -> Path:
    """The output directory after two ranks died in the third epoch."""
    with pytest.raises(RunFailedError):
        call(2, ScriptedBackend(epochs=3, stop_after=12, error=RuntimeError("killed")))
    return tmp_path / "mine"


def test_another_world_size_is_refused_with_a_remedy(call: Callable[..., RunResult], by_two: Path):
    backend = ScriptedBackend(epochs=3)
    with pytest.raises(ConfigurationError, match="run it with 2 again; or set KUBETUNE_WORLD_SIZE_CHANGED=weights") as caught:
        call(1, backend)
    assert "was written by 2" in str(caught.value)
    assert backend.runs == []
    assert call(2, backend).resumed_from == str(by_two / "previous-1" / "full_state" / "step_10")  # nothing was lost by asking


def test_or_goes_on_from_the_weights(call: Callable[..., RunResult], by_two: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KUBETUNE_WORLD_SIZE_CHANGED", "weights")
    weights = by_two / "previous-1" / "hf_format" / "samples_80"
    first = AsLongAsTold()
    result = call(1, first)
    assert (first.runs[0].model_dir, first.runs[0].parameters["num_epochs"], first.runs[0].resume_from) == (weights, 1, None)
    assert (result.reached_end, result.resumed_from) == (True, str(weights))


def test_and_what_goes_on_from_that_run_begins_as_it_did(
    call: Callable[..., RunResult], by_two: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(RunFailedError):
        call(2, ScriptedBackend(epochs=3, stop_after=9, error=RuntimeError("killed again")))
    shutil.rmtree(by_two / "full_state", ignore_errors=True)
    shutil.rmtree(by_two / "previous-1" / "hf_format" / "samples_80")
    monkeypatch.setenv("KUBETUNE_WORLD_SIZE_CHANGED", "weights")
    with pytest.raises(RunFailedError):
        call(1, AsLongAsTold(stop_after=7, error=RuntimeError("and again")))
    last = AsLongAsTold()
    result = call(1, last)
    assert last.runs[0].model_dir == by_two / "previous-1" / "hf_format" / "samples_40"
    assert last.runs[0].parameters["num_epochs"] == 2
    assert (result.reached_end, last.runs[0].resume_from) == (True, by_two / "previous-3" / "full_state" / "step_5")


@pytest.mark.parametrize(("setting", "says"), [("restart", "training starts from the start"), ("maybe", "set one of refuse")])
def test_other_answers(
    call: Callable[..., RunResult],
    by_two: Path,
    setting: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    assert by_two.is_dir()
    monkeypatch.setenv("KUBETUNE_WORLD_SIZE_CHANGED", setting)
    if setting == "restart":
        assert len(call(1).losses) == 15
        assert says in caplog.text
    else:
        with pytest.raises(ConfigurationError, match=says):
            call(1)
