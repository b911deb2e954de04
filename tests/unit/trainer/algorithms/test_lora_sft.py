"""The parameters of lora_sft, and the library's function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kubetune_trainer.algorithms.lora_sft import DEFAULTS, LoRASFT, LoRASFTParameters
from kubetune_trainer.checkpoints import check_manifest, read_manifest
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.registry import AlgorithmRegistry


def test_it_is_there_by_its_entry_points_alone() -> None:
    assert AlgorithmRegistry.get_algorithm("lora_sft") is LoRASFT
    assert AlgorithmRegistry.list_backends("lora_sft") == ["trl-peft"]


def test_no_parameter_is_required_and_each_is_described() -> None:
    assert LoRASFTParameters().given() == {}
    assert all(field.description and not field.is_required() for field in LoRASFTParameters.model_fields.values())
    assert LoRASFTParameters.model_validate({"loraR": 8}) == LoRASFTParameters(lora_r=8)


def test_what_the_backend_is_given() -> None:
    assert LoRASFTParameters(**DEFAULTS).filled(None) == DEFAULTS | {"max_seq_len": 4096, "max_tokens_per_gpu": 4096}
    filled = LoRASFTParameters(lora_r=8, num_epochs=3).filled(2048)
    assert (filled["lora_r"], filled["num_epochs"], filled["max_seq_len"], filled["max_tokens_per_gpu"]) == (8, 3, 2048, 2048)


def test_the_merged_model_is_owed_where_it_was_asked_for() -> None:
    assert LoRASFTParameters().owed_kind == "adapter"
    assert LoRASFTParameters(merge_adapter=False).owed_kind == "adapter"
    assert LoRASFTParameters(merge_adapter=True).owed_kind == "hf"


@pytest.mark.parametrize(
    "given",
    [
        {"lora_r": 0},
        {"lora_r": 4097},
        {"lora_alpha": 0},
        {"lora_dropout": 1.0},
        {"lora_dropout": -0.1},
        {"target_modules": []},
        {"target_modules": [""]},
        {"lr_scheduler": "greedy"},
        {"learning_rate": 0},
        {"rank": 8},
    ],
)
def test_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LoRASFTParameters(**given)


@pytest.mark.parametrize("name", ["load_in_4bit", "load_in_8bit"])
def test_qlora_is_refused_with_its_reason(name: str) -> None:
    from kubetune_trainer import lora_sft

    LoRASFTParameters(**{name: False})
    with pytest.raises(ConfigurationError, match=rf"{name}: True is refused: .* \(QLoRA\) needs bitsandbytes.*; leave {name} out"):
        lora_sft("/m", "/d.jsonl", "/o", **{name: True})


def test_liger_is_refused_with_its_reason() -> None:
    from kubetune_trainer import lora_sft

    with pytest.raises(ConfigurationError, match=r"use_liger: True is refused: .* trl is about to drop"):
        lora_sft("/m", "/d.jsonl", "/o", use_liger=True)


@pytest.mark.train
def test_the_adapter_of_a_model_with_tied_embeddings(tiny_tied_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from kubetune_trainer import lora_sft

    rows = [json.loads(line) for line in tiny_data.read_text().splitlines()]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row | ({"unmask": True} if i < 24 else {})) + "\n" for i, row in enumerate(rows)))
    schedule = {"lr_scheduler": "cosine", "warmup_steps": 1}
    result = lora_sft(
        str(tiny_tied_model), str(data), str(tmp_path / "out"), device="cpu", lora_r=8, learning_rate=1e-2, num_epochs=2, **schedule
    )
    assert result.reached_end
    assert (result.step, result.total_steps) == (6, 6)
    assert result.losses[-1] < result.losses[0]
    assert result.data is not None
    assert 48 * 8 < result.data.tokens_in_loss < result.data.tokens  # an answer is 8 tokens; half of the rows count whole
    assert result.checkpoint is not None
    assert (result.checkpoint.kind, result.checkpoint.verified) == ("adapter", True)
    adapter = Path(result.checkpoint.uri)
    assert check_manifest(adapter) == []
    assert {"trl", "peft", "torch"} <= set(read_manifest(adapter).versions)
    assert not (tmp_path / "out" / ".saving").exists()
    rates = [json.loads(line)["lr"] for line in (tmp_path / "out" / "training_metrics_0.jsonl").read_text().splitlines()]
    assert rates[:2] == [0.0, 1e-2]  # warmed up
    assert rates[2:] == sorted(rates[2:], reverse=True)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_tied_model), str(adapter))
    assert any(p.abs().sum() > 0 for name, p in model.named_parameters() if "lora_B" in name)
    assert AutoModelForCausalLM.from_pretrained(adapter).peft_config  # by transformers alone, where peft is installed
