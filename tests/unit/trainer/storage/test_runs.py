"""Whole runs with an output in a real store, by a backend that trains nothing: what is uploaded, when, and what is said."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from s3_server import S3Server, environment
from scripted import ScriptedBackend
from signal_handlers import kept_handlers
from waiting import until

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.checkpoints.ledger import LEDGER_NAME, read_ledger
from kubetune_trainer.contract import MANIFEST_NAME, CheckpointPolicy, FailureClass, Report
from kubetune_trainer.earlier import RECORD, RunRecord
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.preemption import GracefulStop, Terminated
from kubetune_trainer.run import RunFailedError, run_training
from kubetune_trainer.storage.location import parse
from kubetune_trainer.storage.output import BEGAN, OutputStore
from kubetune_trainer.storage.runs import run_of_its_own
from kubetune_trainer.storage.settings import StoreSettings

pytestmark = pytest.mark.store

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def attempt(server: S3Server, tmp_path: Path, plan_of: Any) -> Any:
    """A plan of an attempt whose output is in the store."""
    del server

    def make(backend: ScriptedBackend | None = None, number: int = 1, patience: float = 60, **more: Any) -> Any:
        local = tmp_path / "disk" / f"attempt-{number}"
        uri = f"s3://box/job/attempt-{number}"
        store = OutputStore(parse("ckpt_output_dir", uri), local, StoreSettings(tmp_path / "cache", patience))
        return plan_of(backend, output_dir=local, output_uri=uri, store=store, attempt=number, **more)

    return make


@pytest.fixture
def call(server: S3Server, tmp_path: Path, plan_of: Any) -> Iterator[Any]:
    """A plan of a call of the library; each has a disk of its own, as after a move to another machine."""
    del server

    def make(backend: ScriptedBackend | None = None, number: int = 1, **more: Any) -> Any:
        settings = StoreSettings(tmp_path / f"disk-{number}", 60)
        store = run_of_its_own("s3://box/mine", Torchrun(), settings, NOW + timedelta(seconds=number))
        given = {"output_dir": store.local, "output_uri": store.root.uri, "store": store, "job": None, **more}
        return plan_of(backend, **given)

    with environment(KUBETUNE_DATA_CACHE="off"):
        yield make


def files(server: S3Server) -> list[Path]:
    return [path for path in (server.buckets / "box" / "job").rglob("*") if path.is_file()]


def manifests(server: S3Server) -> set[str]:
    box = server.buckets / "box"
    return {str(path.parent.relative_to(box)) for path in box.rglob(MANIFEST_NAME)}


def test_a_run_succeeds_once_its_checkpoint_is_in_the_store(attempt: Any, server: S3Server):
    reports: list[Report] = []

    def at(step: int) -> None:
        if step == 7:  # while training goes on
            until(lambda: reports and len(reports[-1].checkpoints) == 2, "both checkpoints of the first epoch are reported")
            assert manifests(server) == {"job/attempt-1/hf_format/samples_40", "job/attempt-1/full_state/step_5"}

    result = run_training(attempt(ScriptedBackend(on_step=at), report=reports.append))
    assert result.reached_end
    assert result.checkpoint is not None
    assert result.checkpoint.uri == "s3://box/job/attempt-1/hf_format/samples_80"
    assert "job/attempt-1/hf_format/samples_80" in manifests(server)
    assert [c.uri for c in reports[-1].checkpoints if c.kind == "full-state"] == ["s3://box/job/attempt-1/full_state/step_5"]


def test_the_next_attempt_goes_on_from_the_store_on_an_empty_disk(attempt: Any, server: S3Server, tmp_path: Path):
    broken = ScriptedBackend(stop_after=7, error=TrainingError(FailureClass.NODE_LOST, "gone"))
    with pytest.raises(RunFailedError) as caught:
        run_training(attempt(broken))
    states = [c.uri for c in caught.value.result.checkpoints if c.kind == "full-state"]
    assert states == ["s3://box/job/attempt-1/full_state/step_5"]

    shutil.rmtree(tmp_path / "disk")
    backend = ScriptedBackend()
    result = run_training(attempt(backend, number=2, resume_from=("s3://box/job/attempt-1/full_state/step_9", *states)))
    assert backend.runs[0].resume_from == tmp_path / "disk" / "attempt-1" / "full_state" / "step_5"
    assert backend.runs[0].node_output
    assert result.resumed_from == states[0]
    assert result.reached_end
    refused, resumed = (entry for entry in result.ledger if entry.event in ("refused", "resumed"))
    assert (refused.checkpoint, resumed.checkpoint) == ("s3://box/job/attempt-1/full_state/step_9", states[0])
    ledgers = [server.buckets / "box" / "job" / f"attempt-{number}" for number in (1, 2)]
    assert [next((e.attempt, e.event) for e in read_ledger(each).entries) for each in ledgers] == [(1, "attempt"), (2, "attempt")]
    assert [read_ledger(each).entries[-1].event for each in ledgers] == ["ended", "ended"]


def test_what_lies_beside_the_checkpoints_is_not_uploaded(attempt: Any, server: S3Server):
    def at(step: int) -> None:
        if step == 7:
            until(lambda: "job/attempt-1/full_state/step_5" in manifests(server), "the full state is there")

    run_training(attempt(ScriptedBackend(on_step=at)))
    names = {path.relative_to(server.buckets / "box" / "job" / "attempt-1").parts[0] for path in files(server)}
    assert names == {"hf_format", "full_state", LEDGER_NAME, BEGAN}


def test_a_state_that_a_newer_attempts_replaces_leaves_the_store(attempt: Any, server: S3Server, tmp_path: Path):
    with pytest.raises(RunFailedError) as caught:
        run_training(attempt(ScriptedBackend(epochs=4, stop_after=7, error=TrainingError(FailureClass.NODE_LOST, "gone"))))
    state = next(c.uri for c in caught.value.result.checkpoints if c.kind == "full-state")
    shutil.rmtree(tmp_path / "disk")

    def at(step: int) -> None:
        if step == 12:
            until(lambda: "job/attempt-2/full_state/step_10" in manifests(server), "the newer one is there")

    backend = ScriptedBackend(epochs=4, on_step=at)
    result = run_training(attempt(backend, number=2, resume_from=(state,), checkpoint=CheckpointPolicy(keep=1)))
    assert result.resumed_from == state
    assert "job/attempt-1/full_state/step_5" not in manifests(server)
    assert not [path for path in files(server) if "attempt-1/full_state" in path.as_posix()]
    assert ("removed", "attempt-1/full_state/step_5") in [(entry.event, entry.checkpoint) for entry in result.ledger]
    assert not (tmp_path / "disk" / "attempt-1" / "full_state" / "step_5").exists()


def test_only_so_many_full_states_stay_in_the_store(attempt: Any, server: S3Server):
    seen: list[str] = []

    def at(step: int) -> None:
        if step in (5, 10, 15):
            until(lambda: f"job/attempt-1/full_state/step_{step}" in manifests(server), f"step {step}'s state is there")
            seen.append(str(step))
        if step == 17:
            until(
                lambda: (
                    {m for m in manifests(server) if "full_state" in m}
                    == {"job/attempt-1/full_state/step_10", "job/attempt-1/full_state/step_15"}
                ),
                "the oldest is gone",
            )

    backend = ScriptedBackend(epochs=4, on_step=at)
    backend.found = eager(backend)  # type: ignore[method-assign]
    assert run_training(attempt(backend, checkpoint=CheckpointPolicy(keep=2))).reached_end
    assert seen == ["5", "10", "15"]
    assert not list((server.buckets / "box" / "job" / "attempt-1" / "full_state").glob("step_5/*"))


def eager(backend: ScriptedBackend) -> Any:
    found = backend.found
    return lambda run, steps: [each for each in found(run, steps) if each.kind == "full-state" or each.step == backend.total]


def test_a_store_that_goes_away_for_a_while_costs_nothing(attempt: Any, server: S3Server, caplog: pytest.LogCaptureFixture):
    back: list[threading.Timer] = []

    def at(step: int) -> None:
        if step == 1:
            server.kill()
        if step == 9:
            back.append(threading.Timer(0.5, server.start))
            back[0].start()

    result = run_training(attempt(ScriptedBackend(on_step=at)))
    back[0].join()
    assert result.reached_end
    assert "job/attempt-1/hf_format/samples_80" in manifests(server)


def test_a_checkpoint_that_stayed_on_the_node_is_no_success(attempt: Any, server: S3Server):
    backend = ScriptedBackend(on_step=lambda step: server.kill() if step == 1 else None)
    with pytest.raises(RunFailedError) as caught:
        run_training(attempt(backend, patience=0))
    outcome = caught.value.outcome
    assert (outcome.failure, outcome.step, outcome.checkpoint) == (FailureClass.BACKEND_ERROR, 10, None)
    assert outcome.failure is not None
    assert outcome.failure.retryable
    assert "samples_80 was saved on this node, and not uploaded to s3://box/job/attempt-1" in outcome.message


def test_sigterm_what_was_saved_is_uploaded_within_the_grace_period(attempt: Any, server: S3Server):
    stop, reports = GracefulStop(600), list[Report]()
    saved = TrainingError(FailureClass.PREEMPTED, "rank 0: Preempted: saved at step 5 and ended, as asked")

    def at(step: int) -> None:
        if step == 5:
            until(lambda: reports and reports[-1].progress.step, "a step is seen")
            stop.asked_to_end(15, None)

    with pytest.raises(RunFailedError) as caught:
        run_training(attempt(ScriptedBackend(on_step=at, stop_after=5, error=saved), stop=stop, report=reports.append))
    outcome = caught.value.outcome
    assert (outcome.failure, outcome.exit_code) == (FailureClass.PREEMPTED, 143)
    assert "the last verified checkpoint is s3://box/job/attempt-1/" in outcome.message
    assert "job/attempt-1/full_state/step_5" in manifests(server)


def test_sigterm_with_too_little_grace_says_what_was_not_uploaded(attempt: Any, server: S3Server):
    stop, reports = GracefulStop(2.0), list[Report]()
    saved = TrainingError(FailureClass.PREEMPTED, "rank 0: Preempted: saved at step 5 and ended, as asked")

    def at(step: int) -> None:
        if step == 5:
            server.kill()
            until(lambda: reports and reports[-1].progress.step, "a step is seen")
            stop.asked_to_end(15, None)

    backend = ScriptedBackend(on_step=at, stop_after=5, error=saved)
    with kept_handlers():
        stop.install()
        with pytest.raises((Terminated, RunFailedError)) as caught:
            run_training(attempt(backend, stop=stop, report=reports.append, patience=3600))
    outcome = caught.value.outcome  # type: ignore[attr-defined]  # both have one
    assert outcome.failure is FailureClass.PREEMPTED
    assert "step_5 was saved on this node, and not uploaded to s3://box/job/attempt-1: the grace period was over" in outcome.message


def test_a_call_of_the_library_goes_on_from_its_own_unfinished_run(call: Any, server: S3Server, tmp_path: Path):
    broken = ScriptedBackend(stop_after=7, error=TrainingError(FailureClass.HOST_OOM, "killed"))
    with pytest.raises(RunFailedError):
        run_training(call(broken, 1))
    backend = ScriptedBackend()
    result = run_training(call(backend, 2))
    assert backend.runs[0].resume_from is not None
    assert (result.resumed_from or "").endswith("/full_state/step_5")
    assert (result.resumed_from or "").startswith("s3://box/mine/run-20260101T000001-")
    assert result.checkpoint is not None
    assert result.checkpoint.uri.startswith("s3://box/mine/run-20260101T000002-")
    (record,) = (server.buckets / "box" / "mine").glob(f"run-20260101T000002-*/{RECORD}")
    noted = RunRecord.model_validate_json(record.read_bytes())
    assert noted.outcome is not None
    assert noted.outcome.reached_end
    assert not list((tmp_path / "disk-2").rglob("hf_format"))  # the store has it

    third = ScriptedBackend()
    run_training(call(third, 3))
    assert third.runs[0].resume_from is None  # the second reached its end


def test_another_call_trains_from_the_start(call: Any, caplog: pytest.LogCaptureFixture):
    from kubetune_trainer.parameters import SFTParameters

    broken = ScriptedBackend(stop_after=7, error=TrainingError(FailureClass.HOST_OOM, "killed"))
    with pytest.raises(RunFailedError):
        run_training(call(broken, 1))
    backend = ScriptedBackend()
    run_training(call(backend, 2, parameters=SFTParameters(num_epochs=2, effective_batch_size=8, seed=7)))
    assert backend.runs[0].resume_from is None
    assert "training starts from the start: the earlier run s3://box/mine/run-20260101T000001-" in caplog.text


def test_several_nodes_of_the_library_need_a_directory():
    with pytest.raises(ConfigurationError, match="several nodes") as caught:
        run_of_its_own("s3://box/mine", Torchrun(nnodes=2), StoreSettings(Path("/c")), NOW)
    assert caught.value.field == "ckpt_output_dir"
