"""OSFT (arXiv:2504.07097) by mini-trainer 0.9.0."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kubetune_trainer.backends import common
from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics
from kubetune_trainer.backends.further import Further, further_of, refusals
from kubetune_trainer.data.settings import GIB, OFF
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.run import launch_training
from kubetune_trainer.plugins.no_own_trackers import import_without_trackers
from kubetune_trainer.storage.location import SCHEME, parse

NAMES = {
    "effective_batch_size": "batch_size",
    "max_tokens_per_gpu": "max_tokens_per_gpu",
    "learning_rate": "learning_rate",
    "warmup_steps": "num_warmup_steps",
    "lr_scheduler": "lr_scheduler",
    "lr_scheduler_kwargs": "lr_scheduler_kwargs",
    "seed": "seed",
    "use_liger": "use_liger_kernels",
    "unfreeze_rank_ratio": "osft_unfreeze_rank_ratio",
    "target_patterns": "osft_target_patterns",
    "num_epochs": "max_epochs",
    "checkpoint_at_epoch": "checkpoint_at_epoch",
    "save_final_checkpoint": "save_final_checkpoint",
}
"""The usage document's names to TrainingArgs'. max_seq_len is the tokeniser's: mini-trainer has no such argument."""

TAKEN = {
    "model_name_or_path": "use model_path",
    "output_dir": "use ckpt_output_dir",
    "osft": "it is what osft() is; use sft() for the other",
    "training_mode": "a run is as long as num_epochs says",
    "max_steps": "a run is as long as num_epochs says",
    "max_tokens": "a run is as long as num_epochs says",
    "pretraining_config": "give messages with unmask_messages=True",
    "on_demand_checkpointing": "kubetune saves full states itself, at each epoch's end",
    "resume_from_full_state_checkpoint": "the same call goes on from its own unfinished run by itself",
    "trust_remote_code": "set TRUST_REMOTE_CODE=1 in the environment, which data processing reads too",
}
"""TrainingArgs' fields that a caller cannot set, and why or what instead."""

SVD_CACHE_ENV = "KUBETUNE_SVD_CACHE"
"""A directory for the decomposed matrices, which jobs may share, or s3://bucket/key, or off. Not set: BackendRun.cache_dir."""

SVD_CACHE_GIB_ENV, SVD_CACHE_GIB = "KUBETUNE_SVD_CACHE_GIB", 50.0
"""Its size in GiB above which the least recently used go."""

log = logging.getLogger(__name__)


class MiniTrainer:
    """OSFT."""

    name: ClassVar[str] = "mini-trainer"
    algorithm: ClassVar[str] = "osft"
    distributions: ClassVar[tuple[str, ...]] = ("rhai-innovation-mini-trainer",)

    def run(self, run: BackendRun) -> None:
        """See Backend.run."""
        import_without_trackers("mini_trainer")
        from mini_trainer import api_train
        from mini_trainer.training_types import TorchrunArgs

        if run.parameters.get("osft_memory_efficient_init"):
            log.warning("osft_memory_efficient_init has no effect: mini-trainer always loads the model on one rank only")
        common.warn_without_flash_attention(run)
        torchrun = TorchrunArgs(nproc_per_node=run.torchrun.nproc_per_node, node_rank=run.torchrun.node_rank)
        start = refusals(self.name, run.further)(lambda: api_train.run_training(torchrun, training_args(run)))
        launch_training(api_train, start, launch_of(run))

    def further(self) -> Further:
        """See TakesFurther.further."""
        import_without_trackers("mini_trainer")
        from mini_trainer import api_train
        from mini_trainer.training_types import TrainingArgs

        return further_of(self.name, TrainingArgs, api_train.run_training, NAMES, TAKEN)

    def total_steps(self, run: BackendRun) -> int | None:
        """See Backend.total_steps."""
        return common.total_steps(run)

    def metrics_file(self, run: BackendRun) -> Path:
        """Named after the node."""
        return run.output_dir / f"training_metrics_{run.torchrun.node_rank}.jsonl"

    def parse_metrics(self, line: Mapping[str, Any], run: BackendRun) -> StepMetrics | None:
        """See Backend.parse_metrics; tokens and samples are over all ranks."""
        del run
        if "loss" not in line or "steps_per_epoch" not in line:
            return None
        return StepMetrics(
            step=line["step"],
            epoch=line["epoch"],
            steps_per_epoch=line["steps_per_epoch"],
            loss=line["loss"],
            learning_rate=line.get("lr"),
            samples_seen=float(line["total_samples_accumulated"]),
            tokens_per_second=line.get("tokens_per_second"),
            samples_per_second=line.get("samples_per_second"),
            time=common.timestamp(line.get("timestamp")),
        )

    def stop_file(self, run: BackendRun) -> Path | None:
        """See Backend.stop_file."""
        return common.stop_file(run)

    def found(self, run: BackendRun, steps: list[StepMetrics]) -> list[FoundCheckpoint]:
        """See Backend.found."""
        del steps  # the checkpoints say it themselves
        return common.found_checkpoints(run, "full_state_checkpoints")


def training_args(run: BackendRun) -> Any:
    """The backend's TrainingArgs."""
    from mini_trainer.training_types import TrainingArgs

    return TrainingArgs(
        model_name_or_path=str(run.model_dir),
        data_path=str(run.data_file),
        output_dir=str(run.output_dir),
        osft=True,
        resume_from_full_state_checkpoint=str(run.resume_from) if run.resume_from else None,
        **{**common.renamed(run.parameters, NAMES), **run.further, "callbacks": common.callbacks(run, listener())},
    )


def launch_of(run: BackendRun) -> Launch:
    plugins: dict[str, Mapping[str, Any]] = {
        "no_own_trackers": {"module": "mini_trainer"},
        "tied_embeddings": {},
        "computed_buffers": {},
        "periodic_save_osft": run.checkpoint.of_full_states(),
        "written_metrics": {"module": "mini_trainer.async_structured_logger"},
    }
    plugins["svd_cache"] = svd_cache(run, os.environ)
    # its switch for sdpa where flash_attn is missing
    environment = {} if common.uses_flash_attention(run) else {"TESTING": "true"}
    return common.launch(run, MiniTrainer().metrics_file(run), plugins=plugins, environment=environment)


def svd_cache(run: BackendRun, environment: Mapping[str, str]) -> dict[str, Any]:
    """The plug-in's arguments.

    Raises:
        ConfigurationError: the size is no positive number, or the store's address has not its form.

    """
    named, size = environment.get(SVD_CACHE_ENV), environment.get(SVD_CACHE_GIB_ENV)
    try:
        gib = SVD_CACHE_GIB if size is None else float(size)
    except ValueError:
        gib = 0.0
    if not 0 < gib < math.inf:
        raise ConfigurationError(SVD_CACHE_GIB_ENV, size, "is no positive number of GiB", "set for instance 50, or leave it unset")
    store = parse(SVD_CACHE_ENV, named).uri if named and named.startswith(SCHEME) else None
    own = run.cache_dir and run.cache_dir / "svd"
    place = Path(named).expanduser().absolute() if named and not store else own
    return {"directory": None if named == OFF or place is None else str(place), "limit": int(gib * GIB), "store": store}


def listener() -> Any:
    """A callback that does nothing: without any, the backend never calls the hook that the plug-in is on.

    Its source travels to the workers.
    """
    from mini_trainer.callbacks import TrainerCallback

    class Listener(TrainerCallback):  # type: ignore[misc]  # the backend ships no types
        pass

    return Listener()
