"""Real runs of the real backends on the tiny model, on the CPU."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetune_trainer.algorithms.lora_sft import LoRASFTParameters
from kubetune_trainer.backends.base import BackendRun, FoundCheckpoint, StepMetrics, Torchrun
from kubetune_trainer.backends.instructlab_training import InstructLabTraining
from kubetune_trainer.backends.mini_trainer import MiniTrainer
from kubetune_trainer.backends.trl_peft.backend import TrlPeft
from kubetune_trainer.contract import CheckpointPolicy

BACKENDS = {"sft": InstructLabTraining, "osft": MiniTrainer, "lora_sft": TrlPeft}
STEPS_PER_EPOCH = 3  # 48 samples by 20: the last batch of an epoch is short
EPOCHS = 3
RATIO = 0.3
PARAMETERS: Mapping[str, Any] = {
    "effective_batch_size": 20,
    "learning_rate": 1e-3,
    "max_seq_len": 256,
    "max_tokens_per_gpu": 260,
    "num_epochs": EPOCHS,
    "warmup_steps": 1,
}
OWN: Mapping[str, Mapping[str, Any]] = {
    "osft": {"unfreeze_rank_ratio": RATIO},
    "lora_sft": LoRASFTParameters(**PARAMETERS | {"learning_rate": 2e-2, "merge_adapter": True}).filled(None),
}
"""lora_sft ends with the merged model, which is looked at as the others' is."""


@dataclass(frozen=True)
class Trained:
    """What a run left behind."""

    run: BackendRun
    steps: list[StepMetrics]
    found: list[FoundCheckpoint]

    @property
    def losses(self) -> dict[int, float]:
        return {s.step: s.loss for s in self.steps}

    @property
    def final(self) -> Path:
        return [c.path for c in self.found if c.kind == "hf"][-1]

    def state(self, step: int) -> Path:
        return next(c.path for c in self.found if c.kind == "full-state" and c.step == step)


def plan(
    algorithm: str,
    model: Path,
    data: Path,
    output_dir: Path,
    *,
    torchrun: Torchrun | None = None,
    checkpoint: CheckpointPolicy | None = None,
    resume_from: Path | None = None,
    **parameters: Any,
) -> BackendRun:
    return BackendRun(
        algorithm=algorithm,
        model_dir=model,
        data_file=data,
        output_dir=output_dir,
        parameters={**PARAMETERS, **OWN.get(algorithm, {}), **parameters},
        torchrun=torchrun or Torchrun(),
        device="cpu",
        checkpoint=checkpoint or CheckpointPolicy(),
        resume_from=resume_from,
    )


def train(run: BackendRun) -> Trained:
    BACKENDS[run.algorithm]().run(run)
    return left_behind(run)


def left_behind(run: BackendRun) -> Trained:
    backend = BACKENDS[run.algorithm]()
    lines = backend.metrics_file(run).read_text().splitlines()
    steps = [s for line in lines if (s := backend.parse_metrics(json.loads(line), run))]
    return Trained(run, steps, backend.found(run, steps))


def tokenize(messages: Path, model: Path, out: Path) -> Path:
    """All tokens count in the loss."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    with out.open("w") as lines:
        for line in messages.read_text().splitlines():
            text = tokenizer.apply_chat_template(json.loads(line)["messages"], tokenize=False)
            ids = tokenizer.encode(text, add_special_tokens=False)
            lines.write(json.dumps({"input_ids": ids, "labels": ids, "len": len(ids)}) + "\n")
    return out


def weights(checkpoint: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(checkpoint / "model.safetensors")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
