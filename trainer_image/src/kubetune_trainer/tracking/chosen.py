"""Which trackers a run has: from the library's arguments and the environment, or from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kubetune_trainer.contract import MLflow, TensorBoard, Tracking, WeightsAndBiases
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.tracking.base import Tracker
from kubetune_trainer.tracking.trackers import MLflowTracker, TensorBoardTracker, WandbTracker

ARGUMENTS = (
    "tensorboard_log_dir",
    "mlflow_tracking_uri",
    "mlflow_experiment_name",
    "mlflow_run_name",
    "wandb_project",
    "wandb_entity",
    "wandb_run_name",
)
"""The library's, for every algorithm: the names that both backends gave theirs."""

EXPERIMENT = "kubetune"
"""Of MLflow, where none is named."""

NEEDS = {
    "tensorboard": ("tensorboard_log_dir", "tensorboard"),
    "mlflow": ("mlflow_tracking_uri", "mlflow"),
    "wandb": ("wandb_project", "wandb"),
}
"""Tracker to the argument that asks for it and the module that it needs."""


def tracking_of(given: Mapping[str, Any], output_dir: Path, environment: Mapping[str, str]) -> Tracking:
    """The library's choice: what is named in the arguments, or as both backends do by MLFLOW_TRACKING_URI, WANDB_PROJECT.

    Raises:
        ConfigurationError: an argument is no text.

    """
    for name in ARGUMENTS:
        if not isinstance(given.get(name, ""), str):
            raise ConfigurationError(name, given[name], "is no text", "give it as a string")
    uri = given.get("mlflow_tracking_uri") or environment.get("MLFLOW_TRACKING_URI")
    experiment = given.get("mlflow_experiment_name") or environment.get("MLFLOW_EXPERIMENT_NAME")
    project = given.get("wandb_project") or environment.get("WANDB_PROJECT")
    name = output_dir.name
    tensorboard = (
        TensorBoard(log_dir=str(Path(given["tensorboard_log_dir"]).absolute())) if "tensorboard_log_dir" in given else None
    )
    mlflow = MLflow(tracking_uri=uri, experiment=experiment or EXPERIMENT, run_name=given.get("mlflow_run_name") or name)
    wandb = WeightsAndBiases(project=project or "", entity=given.get("wandb_entity"), run_name=given.get("wandb_run_name") or name)
    return Tracking(tensorboard=tensorboard, mlflow=mlflow if uri or experiment else None, wandb=wandb if project else None)


def trackers_of(tracking: Tracking) -> list[Tracker]:
    """One for each block that is there.

    Raises:
        ConfigurationError: its library is not installed.

    """
    for name, (argument, module) in NEEDS.items():
        if getattr(tracking, name) is not None and find_spec(module) is None:
            problem = f"asks for a tracker, and {module} is not installed here"
            raise ConfigurationError(argument, "", problem, "pip install 'kubetune[tracking]', or an image that has it")
    made = (
        (TensorBoardTracker, tracking.tensorboard),
        (MLflowTracker, tracking.mlflow),
        (WandbTracker, tracking.wandb),
    )
    return [kind(settings) for kind, settings in made if settings is not None]  # type: ignore[arg-type]  # pairs of one line
