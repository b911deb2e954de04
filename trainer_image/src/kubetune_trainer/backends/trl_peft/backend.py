"""LoRA by trl 1.16 and peft 0.21, data-parallel: DDP over NCCL on GPUs, over gloo on CPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

from kubetune_trainer.backends import common
from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics
from kubetune_trainer.backends.trl_peft.modules import adapted_modules
from kubetune_trainer.backends.trl_peft.settings import Settings
from kubetune_trainer.launch.run import launch_script

WORKER = Path(__file__).with_name("worker.py")
ADAPTER_CONFIG = "adapter_config.json"
ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1"}
"""trl tells huggingface.co of every trainer that is made."""


class TrlPeft:
    """lora_sft."""

    name: ClassVar[str] = "trl-peft"
    algorithm: ClassVar[str] = "lora_sft"
    distributions: ClassVar[tuple[str, ...]] = ("trl", "peft")

    def run(self, run: BackendRun) -> None:
        """See Backend.run."""
        common.warn_without_flash_attention(run)
        settings = settings_of(run)
        launch = common.launch(run, self.metrics_file(run), environment=ENVIRONMENT, knows_cpu=True)
        launch_script(WORKER, [settings.model_dump_json()], launch)

    def total_steps(self, run: BackendRun) -> int | None:
        """See Backend.total_steps."""
        return common.total_steps(run)

    def metrics_file(self, run: BackendRun) -> Path:
        """Named after the node."""
        return run.output_dir / f"training_metrics_{run.torchrun.node_rank}.jsonl"

    def parse_metrics(self, line: Mapping[str, Any], run: BackendRun) -> StepMetrics | None:
        """They are ours (callbacks.Metrics): one line, one step."""
        del run
        fields = ("step", "epoch", "steps_per_epoch", "loss", "samples_seen", "tokens_per_second", "samples_per_second")
        return StepMetrics(
            **{name: line[name] for name in fields}, learning_rate=line["lr"], time=common.timestamp(line["timestamp"])
        )

    def stop_file(self, run: BackendRun) -> Path | None:
        """See Backend.stop_file."""
        return common.stop_file(run)

    def found(self, run: BackendRun, steps: list[StepMetrics]) -> list[FoundCheckpoint]:
        """See Backend.found: below hf_format are adapters, and models that one was merged into."""
        del steps  # the checkpoints say it themselves
        return [with_kind(checkpoint) for checkpoint in common.found_checkpoints(run, "full_state")]


def with_kind(found: FoundCheckpoint) -> FoundCheckpoint:
    adapter = found.kind == "hf" and (found.path / ADAPTER_CONFIG).is_file()
    return replace(found, kind="adapter") if adapter else found


def settings_of(run: BackendRun) -> Settings:
    """What the ranks are told.

    Raises:
        ConfigurationError: target_modules names what the model does not have.

    """
    samples, longest = extent(run.data_file)
    ranks = run.torchrun.nnodes * run.torchrun.nproc_per_node
    own = ceil(run.parameters["effective_batch_size"] / ranks)  # samples of a step on one rank, at most
    modules = adapted_modules(run.model_dir, run.parameters.get("target_modules"))
    return Settings(
        model_dir=str(run.model_dir),
        data_file=str(run.data_file),
        output_dir=str(run.output_dir),
        metrics_file=str(TrlPeft().metrics_file(run)),
        cache_dir=str(common.node_log_dir(run) / "arrow"),
        parameters={**run.parameters, "target_modules": modules},
        samples=samples,
        minibatch=max(1, min(own, run.parameters["max_tokens_per_gpu"] // longest)),
        checkpoint=run.checkpoint,
        cpu=run.device == "cpu",
        flash_attention=common.uses_flash_attention(run),
        resume_from=str(run.resume_from) if run.resume_from else None,
    )


def extent(data_file: Path) -> tuple[int, int]:
    """Samples, and tokens of the longest."""
    with data_file.open("rb") as lines:
        lengths = [json.loads(line)["len"] for line in lines if line.strip()]
    return len(lengths), max(lengths)
