"""What the ranks are told, and the telemetry that trl would send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from backend_runs import plan

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.backends.trl_peft import backend
from kubetune_trainer.launch.command import Launch


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    rows = [{"input_ids": [1] * n, "labels": [1] * n, "len": n} for n in (10, 40, 25)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("tokens", "batch", "ranks", "minibatch"),
    [(260, 20, 1, 6), (260, 20, 4, 5), (260, 20, 16, 2), (79, 20, 1, 1), (40, 20, 1, 1), (10_000, 20, 1, 20)],
)
def test_a_minibatch_holds_what_memory_and_the_batch_allow(
    tokens: int, batch: int, ranks: int, minibatch: int, data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    torchrun = Torchrun(nproc_per_node=ranks)
    run = plan("lora_sft", tiny_model, data, tmp_path, torchrun=torchrun, max_tokens_per_gpu=tokens, effective_batch_size=batch)
    settings = backend.settings_of(run)
    assert (settings.minibatch, settings.samples, settings.cpu) == (minibatch, 3, True)
    assert backend.Settings.model_validate_json(settings.model_dump_json()) == settings


def test_the_script_is_started_without_telemetry_and_with_torch_as_it_is(
    data: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(backend, "launch_script", lambda *arguments: started.append(arguments))
    backend.TrlPeft().run(plan("lora_sft", tiny_model, data, tmp_path))
    ((script, (text,), launch),) = started
    assert script.is_file()
    assert json.loads(text)["parameters"]["target_modules"][0] == "down_proj"
    assert isinstance(launch, Launch)
    assert launch.environment == {"HF_HUB_DISABLE_TELEMETRY": "1"}
    assert launch.knows_cpu
