"""What is trained: SmolLM2 as the demo makes it, and small Llamas and Qwen2s made on the spot, with tied and untied embeddings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

ROOT = Path(__file__).parents[2]
ROWS, BATCH = 240, 4  # of the small models: epochs long enough to be hit in the middle

TINY: Mapping[str, Any] = {
    "effective_batch_size": BATCH,
    "max_seq_len": 64,
    "max_tokens_per_gpu": 180,
    "learning_rate": 1e-3,
    "num_epochs": 2,
    "warmup_steps": 2,
}
SMOL: Mapping[str, Any] = {
    "effective_batch_size": 3,
    "max_seq_len": 256,
    "max_tokens_per_gpu": 512,
    "learning_rate": 5e-5,
    "num_epochs": 2,
    "warmup_steps": 2,
}


@dataclass(frozen=True)
class Case:
    """One model under one algorithm."""

    name: str
    algorithm: Literal["sft", "osft"]
    parameters: Mapping[str, Any]
    every_steps: int

    @property
    def training(self) -> dict[str, Any]:
        own = {"unfreeze_rank_ratio": 0.3, "lr_scheduler": "cosine"} if self.algorithm == "osft" else {}
        return {**self.parameters, **own}

    @property
    def backend(self) -> str:
        return {"sft": "instructlab-training", "osft": "mini-trainer"}[self.algorithm]

    def model(self, folder: Path) -> Path:
        """Made where it is not there yet."""
        if self.name.startswith("smollm2"):
            sys.path.insert(0, str(ROOT / "examples" / "demo"))
            from smollm2 import convert  # type: ignore[import-not-found]  # the demo's own

            return cast("Path", convert(folder / "SmolLM2-135M-Instruct"))
        from tiny import make_tiny_model

        architecture, ties = self.name.split("-")[:2]
        target = folder / f"{architecture}-{ties}"
        return target if target.exists() else make_tiny_model(target, arch=architecture, tied=ties == "tied")  # type: ignore[arg-type]  # a name of CASES

    def data(self, folder: Path) -> Path:
        if self.name.startswith("smollm2"):
            return ROOT / "examples" / "demo" / "train.jsonl"
        from tiny import write_messages

        return write_messages(folder / "train.jsonl", rows=ROWS)


def cases() -> dict[str, Case]:
    """By name, in the order of the table."""
    algorithms: tuple[Literal["osft", "sft"], ...] = ("osft", "sft")
    small = [
        Case(f"{architecture}-{ties}-{algorithm}", algorithm, TINY, 10)
        for architecture in ("qwen2", "llama")
        for ties in ("tied", "untied")
        for algorithm in algorithms
    ]
    large = [Case(f"smollm2-{algorithm}", algorithm, SMOL, 2) for algorithm in algorithms]
    return {case.name: case for case in (*large, *small)}
