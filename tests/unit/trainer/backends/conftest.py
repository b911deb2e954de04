"""Real runs, each made once a test run and read by several tests, in whichever process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from backend_runs import Trained, left_behind, plan, tokenize, train
from shared_runs import made_once
from tiny import make_tiny_model

from kubetune_trainer.contract import CheckpointPolicy


@pytest.fixture(scope="session")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """OSFT's is a qwen2 with tied embeddings: what mini-trainer alone cannot save."""
    return {
        "sft": tiny_model,
        "lora_sft": tiny_model,
        "osft": made_once(tmp_path_factory, "tiny-qwen2", lambda path: make_tiny_model(path, arch="qwen2", tied=True)),
    }


@pytest.fixture(scope="session")
def tokens(tiny_data: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not named data.jsonl, which is the only name that instructlab-training reads."""
    made = made_once(tmp_path_factory, "tokens", lambda path: tokenize(tiny_data, tiny_model, path / "tokens.jsonl"))
    return made / "tokens.jsonl"


def undisturbed(algorithm: str, models: dict[str, Path], tokens: Path, factory: pytest.TempPathFactory) -> Trained:
    """One process, three epochs, every full state kept; without torchrun on the PATH."""
    every = CheckpointPolicy(every_steps=2, keep=9)

    def make(out: Path) -> None:
        path = os.environ["PATH"]
        os.environ["PATH"] = str(out / "empty")
        try:
            train(plan(algorithm, models[algorithm], tokens, out / "run", checkpoint=every))
        finally:
            os.environ["PATH"] = path

    out = made_once(factory, f"{algorithm}-run", make)
    return left_behind(plan(algorithm, models[algorithm], tokens, out / "run", checkpoint=every))


@pytest.fixture(scope="session")
def sft_run(models: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return undisturbed("sft", models, tokens, tmp_path_factory)


@pytest.fixture(scope="session")
def osft_run(models: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return undisturbed("osft", models, tokens, tmp_path_factory)


@pytest.fixture(scope="session")
def lora_sft_run(models: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return undisturbed("lora_sft", models, tokens, tmp_path_factory)


@pytest.fixture(params=["sft", "osft", "lora_sft"])
def base(request: pytest.FixtureRequest) -> Trained:
    """All undisturbed runs, one after the other."""
    trained: Trained = request.getfixturevalue(f"{request.param}_run")
    return trained
