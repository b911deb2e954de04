"""The real libraries: event files read back, an MLflow store, Weights & Biases offline. Two attempts, one run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.contract import JobIdentity, MLflow, TensorBoard, Tracking, WeightsAndBiases
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.run import run_training
from kubetune_trainer.tracking import chosen
from kubetune_trainer.tracking.base import TrackedRun, Tracker
from kubetune_trainer.tracking.chosen import trackers_of, tracking_of
from kubetune_trainer.tracking.trackers import MLflowTracker, TensorBoardTracker, WandbTracker

CONFIG = {"algorithm": "sft", "learning_rate": 1e-3}


def metrics(number: int, loss: float) -> StepMetrics:
    return StepMetrics(number, 0, 5, loss, 1e-3, 8.0 * number, 100.0, 4.0, None)


def attempt(
    tracker: Tracker, directory: Path, steps: Sequence[int], loss: Callable[[int], float], resumed: int, *, succeeded: bool
) -> None:
    """As Feed does it."""
    has = tracker.open(TrackedRun("5f3c-uid", resumed, directory, CONFIG))
    tracker.log([metrics(number, loss(number)) for number in steps if number > has])
    tracker.close(succeeded=succeeded)


def killed_and_resumed(make: Callable[[], Tracker], directory: Path) -> None:
    """Steps 1 to 6, killed; resumed from 4: steps 5 to 8."""
    directory.mkdir(exist_ok=True)
    attempt(make(), directory, range(1, 7), float, 0, succeeded=False)
    attempt(make(), directory, range(5, 9), lambda step: 10.0 * step, 4, succeeded=True)


def test_tensorboard_event_files(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed_and_resumed(lambda: TensorBoardTracker(TensorBoard(log_dir=str(tmp_path / "board"))), tmp_path)

    board = EventAccumulator(str(tmp_path / "board"), size_guidance={"scalars": 0}).Reload()
    assert [(e.step, e.value) for e in board.Scalars("loss")] == [
        *((1, 1), (2, 2), (3, 3), (4, 4)),
        *((5, 50), (6, 60), (7, 70), (8, 80)),
    ]
    assert set(board.Tags()["scalars"]) == {
        "loss",
        "learning_rate",
        "epoch",
        "samples_seen",
        "tokens_per_second",
        "samples_per_second",
    }


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file store, which needs no server."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # it is no longer the default of a new version
    return (tmp_path / "mlruns").as_uri()


def test_mlflow_has_one_run_and_each_step_once(tmp_path: Path, store: str):
    from mlflow import MlflowClient

    killed_and_resumed(lambda: MLflowTracker(MLflow(tracking_uri=store, experiment="team", run_name="teach")), tmp_path)

    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("team").experiment_id])
    assert (run.info.run_name, run.info.status) == ("teach", "FINISHED")
    assert run.data.params == {"algorithm": "sft", "learning_rate": "0.001"}
    history = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "loss")]
    assert history == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 70), (8, 80)]


def test_mlflow_takes_many_steps_and_a_loss_that_is_not_finite(tmp_path: Path, store: str):
    from mlflow import MlflowClient

    tracker = MLflowTracker(MLflow(tracking_uri=store, experiment="e", run_name="r"))
    attempt(tracker, tmp_path, range(1, 251), lambda step: math.nan if step == 7 else 1.0, 0, succeeded=False)

    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [m.step for m in history] == list(range(1, 251))
    assert math.isnan(history[6].value)
    assert run.info.status == "FAILED"


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What it wrote is read by its own reader."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    attempt(WandbTracker(WeightsAndBiases(project="team", run_name="teach")), tmp_path, range(1, 4), float, 0, succeeded=True)

    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    until(lambda: any(record.WhichOneof("record_type") == "exit" for record in read_wandb(file)), "wandb's service wrote all of it")
    records = list(read_wandb(file))
    run = next(record.run for record in records if record.WhichOneof("record_type") == "run")
    assert (run.run_id, run.project, run.display_name) == ("5f3c-uid", "team", "teach")
    rows = [{item.key or item.nested_key[0]: item.value_json for item in r.history.item} for r in records if r.history.item]
    assert [(int(row["_step"]), float(row["loss"])) for row in rows] == [(1, 1), (2, 2), (3, 3)]


def read_wandb(file: Path) -> Any:
    """A LevelDB log behind a header of 7 bytes: blocks of 32 KiB, each record with 4 bytes of checksum, 2 of length, 1 of kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def test_the_librarys_arguments_and_the_environment(tmp_path: Path):
    out = tmp_path / "teach"
    assert tracking_of({}, out, {}) == Tracking()
    assert tracking_of({"tensorboard_log_dir": "/b"}, out, {}) == Tracking(tensorboard=TensorBoard(log_dir="/b"))
    assert tracking_of({"mlflow_tracking_uri": "http://m", "mlflow_run_name": "r"}, out, {}).mlflow == MLflow(
        tracking_uri="http://m", experiment="kubetune", run_name="r"
    )
    environment = {"MLFLOW_TRACKING_URI": "http://e", "MLFLOW_EXPERIMENT_NAME": "x", "WANDB_PROJECT": "p"}
    assert tracking_of({"wandb_entity": "team"}, out, environment) == Tracking(
        mlflow=MLflow(tracking_uri="http://e", experiment="x", run_name="teach"),
        wandb=WeightsAndBiases(project="p", entity="team", run_name="teach"),
    )
    with pytest.raises(ConfigurationError) as caught:
        tracking_of({"wandb_project": 3}, out, {})
    assert caught.value.field == "wandb_project"


def test_a_tracker_that_is_not_installed_is_refused_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch):
    every = Tracking(
        tensorboard=TensorBoard(log_dir="/b"),
        mlflow=MLflow(experiment="e", run_name="r"),
        wandb=WeightsAndBiases(project="p", run_name="r"),
    )
    assert [tracker.name for tracker in trackers_of(every)] == ["TensorBoard", "MLflow", "Weights & Biases"]
    assert trackers_of(Tracking()) == []
    monkeypatch.setattr(chosen, "find_spec", lambda module: None if module == "wandb" else object())
    with pytest.raises(ConfigurationError, match=r"kubetune\[tracking\]") as caught:
        trackers_of(every)
    assert caught.value.field == "wandb_project"
    assert trackers_of(Tracking(tensorboard=TensorBoard(log_dir="/b")))


def test_two_attempts_of_a_job_are_one_run(plan_of: Any, tmp_path: Path, store: str):
    """The whole path, with a scripted backend."""
    from mlflow import MlflowClient
    from scripted import ScriptedBackend

    from kubetune_trainer.run import RunFailedError

    job = JobIdentity(kind="SFTJob", namespace="n", name="j", uid="7-uid", spec_hash="h")
    tracking = Tracking(mlflow=MLflow(tracking_uri=store, experiment="n", run_name="j"))
    with pytest.raises(RunFailedError):
        run_training(plan_of(ScriptedBackend(stop_after=7), job=job, tracking=tracking))
    state = str(tmp_path / "job" / "attempt-1" / "full_state" / "step_5")
    second = tmp_path / "job" / "attempt-2"
    run_training(plan_of(ScriptedBackend(), job=job, tracking=tracking, attempt=2, output_dir=second, resume_from=(state,)))

    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("n").experiment_id])
    assert (run.info.run_name, run.data.params["num_epochs"]) == ("j", "2")
    assert [m.step for m in client.get_metric_history(run.info.run_id, "loss")] == list(range(1, 11))
