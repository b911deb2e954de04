"""SFT by instructlab-training 0.16.2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kubetune_trainer.backends import common
from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics
from kubetune_trainer.backends.further import Further, further_of, refusals
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.run import launch_training
from kubetune_trainer.plugins.no_own_trackers import import_without_trackers

NAMES = {
    "num_epochs": "num_epochs",
    "effective_batch_size": "effective_batch_size",
    "learning_rate": "learning_rate",
    "max_seq_len": "max_seq_len",
    "max_tokens_per_gpu": "max_batch_len",
    "save_samples": "save_samples",
    "warmup_steps": "warmup_steps",
    "seed": "random_seed",
    "use_liger": "use_liger",
    "checkpoint_at_epoch": "checkpoint_at_epoch",
}
"""The usage document's names to TrainingArgs'."""

TAKEN = {
    "process_data": "kubetune tokenises the data set itself",
    "data_process_num_cpu_procs": "kubetune tokenises the data set itself",
    "disable_flash_attn": "it follows from whether flash_attn is installed",
    "fsdp_options": "kubetune sets FULL_SHARD: the default does not synchronise nodes of one GPU each",
    "distributed_backend": "FSDP is the one whose states kubetune saves and resumes",
    "deepspeed_options": "FSDP is the one whose states kubetune saves and resumes",
    "on_demand_checkpointing": "kubetune saves full states itself (accelerate_full_state_at_epoch)",
    "keep_last_checkpoint_only": "each checkpoint is verified under a name of its own; remove the older ones afterwards",
    "lora": "this version's LoRA cannot save",
    "chat_tmpl_path": "the chat template is the tokenizer's own (chat_template.jinja in the model directory)",
    "use_legacy_tmpl": "the chat template is the tokenizer's own (chat_template.jinja in the model directory)",
    "pretraining_config": "give messages with unmask: true",
    "mock_data": "give a data set",
    "mock_data_len": "give a data set",
    "trust_remote_code": "set TRUST_REMOTE_CODE=1 in the environment, which data processing reads too",
}
"""TrainingArgs' fields that a caller cannot set, and why or what instead."""

DATA_NAME = "data.jsonl"


class InstructLabTraining:
    """SFT. The backend's full states are ours to save (plugins.periodic_save_sft): its own may be torn."""

    name: ClassVar[str] = "instructlab-training"
    algorithm: ClassVar[str] = "sft"
    distributions: ClassVar[tuple[str, ...]] = ("instructlab-training",)

    def run(self, run: BackendRun) -> None:
        """See Backend.run."""
        import_without_trackers("instructlab.training")
        from instructlab.training import main_ds
        from instructlab.training.config import TorchrunArgs

        common.warn_without_flash_attention(run)
        torchrun = TorchrunArgs(nproc_per_node=run.torchrun.nproc_per_node, nnodes=1, node_rank=run.torchrun.node_rank, rdzv_id="0")
        start = refusals(self.name, run.further)(lambda: main_ds.run_training(torchrun, training_args(run)))
        launch_training(main_ds, start, launch_of(run), prepare=lambda: link_data(run))

    def further(self) -> Further:
        """See TakesFurther.further."""
        import_without_trackers("instructlab.training")
        from instructlab.training import main_ds
        from instructlab.training.config import TrainingArgs

        return further_of(self.name, TrainingArgs, main_ds.run_training, NAMES, TAKEN)

    def total_steps(self, run: BackendRun) -> int | None:
        """See Backend.total_steps."""
        return common.total_steps(run)

    def metrics_file(self, run: BackendRun) -> Path:
        """Named after the global rank of the node's first process."""
        first = run.torchrun.node_rank * run.torchrun.nproc_per_node
        return run.output_dir / f"training_params_and_metrics_global{first}.jsonl"

    def parse_metrics(self, line: Mapping[str, Any], run: BackendRun) -> StepMetrics | None:
        """The backend's throughput is in samples a second, and its rate is already that of the next step.

        Its tokens are the first rank's only, so that tokens a second are not told where there are more.
        """
        if "avg_loss" not in line or "samples_seen" not in line:
            return None
        rate = line.get("overall_throughput")
        alone = run.torchrun.nnodes * run.torchrun.nproc_per_node == 1
        tokens = line["num_tokens_rank0"] / line["batch_size"] if line.get("batch_size") and "num_tokens_rank0" in line else None
        return StepMetrics(
            step=line["step"],
            epoch=line["epoch"],
            steps_per_epoch=line["num_epoch_steps"],
            loss=line["avg_loss"],
            learning_rate=line.get("lr"),
            samples_seen=float(line["samples_seen"]),
            tokens_per_second=rate * tokens if alone and rate is not None and tokens is not None else None,
            samples_per_second=rate,
            time=common.timestamp(line.get("timestamp")),
        )

    def stop_file(self, run: BackendRun) -> Path | None:
        """See Backend.stop_file."""
        return common.stop_file(run)

    def found(self, run: BackendRun, steps: list[StepMetrics]) -> list[FoundCheckpoint]:
        """See Backend.found."""
        del steps  # the checkpoints say it themselves
        return common.found_checkpoints(run, "full_state")


def data_dir(run: BackendRun) -> Path:
    """The directory whose data.jsonl the backend reads: the data file's own, or one with a link beneath the node's logs."""
    return run.data_file.parent if run.data_file.name == DATA_NAME else common.node_log_dir(run) / "data"


def link_data(run: BackendRun) -> None:
    """Only once the launch may write: until the master is up, its preflight wants the shared output empty."""
    link = data_dir(run) / DATA_NAME
    if link == run.data_file:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(run.data_file)


def training_args(run: BackendRun) -> Any:
    """The backend's TrainingArgs.

    HYBRID_SHARD, its default, with one device a node degenerates to NO_SHARD without gradient sync; hence FULL_SHARD.
    """
    from instructlab.training.config import FSDPOptions, ShardingStrategies, TrainingArgs

    given = {"max_tokens_per_gpu": run.parameters.get("max_seq_len"), **run.parameters}
    return TrainingArgs(
        model_path=str(run.model_dir),
        data_path=str(run.data_file),
        data_output_dir=str(data_dir(run)),
        ckpt_output_dir=str(run.output_dir),
        process_data=False,
        accelerate_full_state_at_epoch=False,  # the plug-in does it
        disable_flash_attn=not common.uses_flash_attention(run),
        fsdp_options=FSDPOptions(sharding_strategy=ShardingStrategies.FULL_SHARD),
        **{**common.renamed(given, NAMES), **run.further, "callbacks": common.callbacks(run, listener())},
    )


def launch_of(run: BackendRun) -> Launch:
    at_epoch = run.checkpoint.every_epoch and run.parameters.get("accelerate_full_state_at_epoch") is not False
    resume_from = str(run.resume_from) if run.resume_from else None
    plugins: dict[str, Mapping[str, Any]] = {
        "no_own_trackers": {"module": "instructlab.training"},
        "periodic_save_sft": {**run.checkpoint.of_full_states(), "every_epoch": at_epoch, "resume_from": resume_from},
        "written_metrics": {"module": "instructlab.training.async_logger"},
    }
    if run.further.get("validation_split"):
        plugins["validation_loss"] = {}
    if not common.uses_flash_attention(run):
        plugins["even_minibatches"] = {}
    if run.device == "cpu":
        plugins["loader_workers"] = {"count": 0}
    return common.launch(run, InstructLabTraining().metrics_file(run), plugins=plugins)


def listener() -> Any:
    """A callback that does nothing: without any, the backend never calls the hook that the plug-in is on.

    Its source travels to the workers.
    """
    from instructlab.training.callbacks import TrainerCallback

    class Listener(TrainerCallback):  # type: ignore[misc]  # the backend ships no types
        pass

    return Listener()
