"""The three trackers. Their libraries are imported when a run begins: they take seconds, and most jobs use none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.contract import MLflow, TensorBoard, WeightsAndBiases
from kubetune_trainer.tracking.base import TrackedRun, seconds_of, values_of

RUN_TAG = "kubetune.run"
MLFLOW_STEPS = 100
"""Of one request: MLflow takes at most 1000 metrics in one."""


class TensorBoardTracker:
    """Event files in a directory. After a resume the reader forgets the replayed steps (SummaryWriter's purge_step)."""

    name: ClassVar[str] = "TensorBoard"

    def __init__(self, settings: TensorBoard) -> None:
        self._settings = settings
        self._writer: Any = None

    def open(self, run: TrackedRun) -> int:
        from torch.utils.tensorboard import SummaryWriter

        writer: Any = SummaryWriter
        self._writer = writer(self._settings.log_dir, purge_step=run.resumed_step + 1)
        self._writer.add_text("config", as_table(run.config))
        return run.resumed_step

    def log(self, steps: Sequence[StepMetrics]) -> None:
        for metrics in steps:
            for name, value in values_of(metrics).items():
                self._writer.add_scalar(name, value, metrics.step, seconds_of(metrics))
        self._writer.flush()

    def close(self, *, succeeded: bool) -> None:
        del succeeded  # event files know no such thing
        self._writer.close()


class MLflowTracker:
    """A run on a server or in a store, found again by a tag. A client of our own: mlflow's global state stays the user's."""

    name: ClassVar[str] = "MLflow"

    def __init__(self, settings: MLflow) -> None:
        self._settings = settings
        self._client: Any = None
        self._run_id = ""

    def open(self, run: TrackedRun) -> int:
        from mlflow import MlflowClient

        self._client = MlflowClient(self._settings.tracking_uri)
        experiment = self._experiment()
        found = self._client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run.id}'", max_results=1)
        if found:
            self._run_id = found[0].info.run_id
            self._client.update_run(self._run_id, status="RUNNING")
            return max((metric.step for metric in self._client.get_metric_history(self._run_id, "loss")), default=0)
        self._run_id = self._begin(experiment, run)
        return 0

    def _experiment(self) -> str:
        name = self._settings.experiment
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _begin(self, experiment: str, run: TrackedRun) -> str:
        from mlflow.entities import Param

        made = self._client.create_run(experiment, tags={RUN_TAG: run.id}, run_name=self._settings.run_name)
        params = [Param(name, str(value)[:500]) for name, value in run.config.items()]
        self._client.log_batch(made.info.run_id, params=params[:100])
        return str(made.info.run_id)

    def log(self, steps: Sequence[StepMetrics]) -> None:
        from mlflow.entities import Metric

        for first in range(0, len(steps), MLFLOW_STEPS):
            metrics = [
                Metric(name, value, int(1000 * (seconds_of(step) or time.time())), step.step)
                for step in steps[first : first + MLFLOW_STEPS]
                for name, value in values_of(step).items()
            ]
            self._client.log_batch(self._run_id, metrics=metrics)

    def close(self, *, succeeded: bool) -> None:
        self._client.set_terminated(self._run_id, "FINISHED" if succeeded else "FAILED")


class WandbTracker:
    """A run at Weights & Biases, or offline with WANDB_MODE=offline. Its server drops steps that it has already."""

    name: ClassVar[str] = "Weights & Biases"

    def __init__(self, settings: WeightsAndBiases) -> None:
        self._settings = settings
        self._run: Any = None

    def open(self, run: TrackedRun) -> int:
        import wandb

        given = self._settings
        self._run = wandb.init(
            project=given.project,
            entity=given.entity,
            name=given.run_name,
            id=run.id,
            resume="allow",
            reinit="create_new",
            dir=str(run.directory),
            config=dict(run.config),
            settings=wandb.Settings(console="off", silent=True),
        )
        return int(self._run.step) - 1 if self._run.resumed else 0

    def log(self, steps: Sequence[StepMetrics]) -> None:
        for metrics in steps:
            self._run.log(values_of(metrics), step=metrics.step)

    def close(self, *, succeeded: bool) -> None:
        self._run.finish(exit_code=0 if succeeded else 1)


def as_table(config: Mapping[str, Any]) -> str:
    """Markdown, which TensorBoard shows."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in config.items())])
