"""Real runs, each made once a session and read by several tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from backend_runs import Trained, plan, tokenize, train
from tiny import make_tiny_model

from kubetune_trainer.contract import CheckpointPolicy


@pytest.fixture(scope="session")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """OSFT's is a qwen2 with tied embeddings: what mini-trainer alone cannot save."""
    return {
        "sft": tiny_model,
        "lora_sft": tiny_model,
        "osft": make_tiny_model(tmp_path_factory.mktemp("models") / "qwen2", arch="qwen2", tied=True),
    }


@pytest.fixture(scope="session")
def tokens(tiny_data: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not named data.jsonl, which is the only name that instructlab-training reads."""
    return tokenize(tiny_data, tiny_model, tmp_path_factory.mktemp("tokens") / "tokens.jsonl")


def undisturbed(algorithm: str, models: dict[str, Path], tokens: Path, out: Path) -> Trained:
    """One process, three epochs, every full state kept; without torchrun on the PATH."""
    path = os.environ["PATH"]
    os.environ["PATH"] = str(out / "empty")
    try:
        return train(plan(algorithm, models[algorithm], tokens, out / "run", checkpoint=CheckpointPolicy(every_steps=2, keep=9)))
    finally:
        os.environ["PATH"] = path


@pytest.fixture(scope="session")
def sft_run(models: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return undisturbed("sft", models, tokens, tmp_path_factory.mktemp("sft"))


@pytest.fixture(scope="session")
def osft_run(models: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return undisturbed("osft", models, tokens, tmp_path_factory.mktemp("osft"))


@pytest.fixture(scope="session")
def lora_sft_run(models: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return undisturbed("lora_sft", models, tokens, tmp_path_factory.mktemp("lora"))


@pytest.fixture(params=["sft", "osft", "lora_sft"])
def base(request: pytest.FixtureRequest) -> Trained:
    """All undisturbed runs, one after the other."""
    trained: Trained = request.getfixturevalue(f"{request.param}_run")
    return trained
