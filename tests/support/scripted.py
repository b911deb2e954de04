"""A backend that trains nothing and leaves on disk what a real one would, with a fault on demand."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics
from kubetune_trainer.contract import JobIdentity

JOB = JobIdentity(kind="SFTJob", namespace="n", name="j", uid="u", spec_hash="h")
START = datetime(2026, 1, 1, tzinfo=UTC)


def save_trained(base: Path, target: Path, change: Callable[[dict[str, Any]], Any] | None = None) -> Path:
    """A Hugging Face checkpoint as after training: the base model with every floating weight moved a little, then `change`d.

    `change` edits the dict in place or returns another one; what else it returns does not matter.
    """
    from safetensors.torch import load_file, save_file

    shutil.copytree(base, target, ignore=shutil.ignore_patterns("model.safetensors"))
    tensors = {name: tensor + 1e-3 for name, tensor in load_file(base / "model.safetensors").items()}
    changed = change(tensors) if change else None
    tensors = changed if isinstance(changed, dict) else tensors
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    return target


def save_torn(base: Path, target: Path) -> Path:
    weights = save_trained(base, target) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return target


def save_empty(base: Path, target: Path) -> Path:
    """What mini-trainer leaves where its save failed."""
    del base
    target.mkdir(parents=True)
    return target


def save_nothing(base: Path, target: Path) -> Path:
    del base
    return target


def save_unchanged(base: Path, target: Path) -> Path:
    """What instructlab-training leaves where every label was masked."""
    return Path(shutil.copytree(base, target))


def save_nan(base: Path, target: Path) -> Path:
    def poison(tensors: dict[str, Any]) -> None:
        tensors["model.norm.weight"][3] = math.nan

    return save_trained(base, target, poison)


@dataclass
class ScriptedBackend:
    """Steps, losses and files by its arguments. Metrics and names are instructlab-training's."""

    name: ClassVar[str] = "scripted"
    algorithm: ClassVar[str] = "sft"
    distributions: ClassVar[tuple[str, ...]] = ("pydantic", "not-installed")

    epochs: int = 2
    steps_per_epoch: int = 5
    stop_after: int | None = None  # returns normally after this step
    nan_from: int | None = None
    save: Callable[[Path, Path], Path] = save_trained  # the last checkpoint
    error: Exception | None = None  # raised at the end
    full_states: bool = True
    known_total: bool = True
    on_step: Callable[[int], None] = lambda step: None
    runs: list[BackendRun] = field(default_factory=list)

    def run(self, run: BackendRun) -> None:
        self.runs.append(run)
        first = json.loads((run.resume_from / "kubetune-state.json").read_text())["step"] if run.resume_from else 0
        for step in range(first + 1, min(self.stop_after or self.total, self.total) + 1):
            self.log(run, step)
            if step % self.steps_per_epoch == 0:
                self.save_epoch(run, step)
            self.on_step(step)
        if self.error is not None:
            raise self.error

    @property
    def total(self) -> int:
        return self.epochs * self.steps_per_epoch

    def log(self, run: BackendRun, step: int) -> None:
        nan = self.nan_from is not None and step >= self.nan_from
        line = {
            "step": step,
            "epoch": (step - 1) // self.steps_per_epoch,
            "num_epoch_steps": self.steps_per_epoch,
            "avg_loss": math.nan if nan else 5.0 / step,
            "lr": 1e-3,
            "samples_seen": 8 * step,
            "timestamp": (START + timedelta(seconds=2 * step)).isoformat(),
        }
        run.output_dir.mkdir(parents=True, exist_ok=True)
        with self.metrics_file(run).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def save_epoch(self, run: BackendRun, step: int) -> None:
        last = step == self.total
        (self.save if last else save_trained)(run.model_dir, run.output_dir / "hf_format" / f"samples_{8 * step}")
        if self.full_states and not last:
            staged, state = run.output_dir / ".saving", run.output_dir / "full_state" / f"step_{step}"
            staged.mkdir()
            (staged / "optimizer.bin").write_bytes(bytes(1000))
            (staged / "kubetune-state.json").write_text(json.dumps({"step": step}))
            state.parent.mkdir(exist_ok=True)
            staged.rename(state)

    def total_steps(self, run: BackendRun) -> int | None:
        del run
        return self.total if self.known_total else None

    def metrics_file(self, run: BackendRun) -> Path:
        return run.output_dir / f"training_params_and_metrics_global{run.torchrun.node_rank}.jsonl"

    def parse_metrics(self, line: Mapping[str, Any], run: BackendRun) -> StepMetrics | None:
        del run
        if "avg_loss" not in line:
            return None
        return StepMetrics(
            step=line["step"],
            epoch=line["epoch"],
            steps_per_epoch=line["num_epoch_steps"],
            loss=line["avg_loss"],
            learning_rate=line["lr"],
            samples_seen=line["samples_seen"],
            tokens_per_second=None,
            samples_per_second=None,
            time=datetime.fromisoformat(line["timestamp"]),
        )

    def stop_file(self, run: BackendRun) -> Path | None:
        return run.output_dir / "stop" if run.checkpoint.on_preemption else None

    def found(self, run: BackendRun, steps: list[StepMetrics]) -> list[FoundCheckpoint]:
        found = []
        for metrics in steps:
            epoch = metrics.step // metrics.steps_per_epoch
            hf = run.output_dir / "hf_format" / f"samples_{int(metrics.samples_seen)}"
            state = run.output_dir / "full_state" / f"step_{metrics.step}"
            found += [FoundCheckpoint(hf, "hf", metrics.step, epoch)] if hf.is_dir() else []
            found += [FoundCheckpoint(state, "full-state", metrics.step, epoch)] if state.is_dir() else []
        return found
