"""Adapters that peft wrote, and what can be wrong with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kubetune_trainer.checkpoints.adapter import verify_adapter

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """As after training: lora_B is no longer zero."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.01)
    model.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_a_trained_adapter_is_whole(adapter: Path, tiny_model: Path) -> None:
    assert verify_adapter(adapter, tiny_model) == []


def change(adapter: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    tensors = load_file(adapter / WEIGHTS)
    edit(tensors)
    save_file(tensors, adapter / WEIGHTS, {"format": "pt"})


FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"


def untrained(tensors: dict[str, Any]) -> None:
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor.zero_()


def poisoned(tensors: dict[str, Any]) -> None:
    tensors[FIRST][0, 0] = math.nan


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (untrained, "every lora_B is zero: nothing was trained"),
        (poisoned, f"{FIRST}: NaN or infinite"),
        (lambda tensors: tensors.pop(FIRST), f"lacks the weights {FIRST}"),
        (lambda tensors: tensors.update(more=torch.ones(1)), "has unknown weights more"),
        (
            lambda tensors: tensors.update({FIRST: torch.ones(3, 128)}),
            f"has weights of a wrong shape {FIRST} [3, 128] for [4, 128]",
        ),
    ],
)
def test_wrong_weights(adapter: Path, tiny_model: Path, edit: Callable[[dict[str, Any]], object], problem: str) -> None:
    change(adapter, edit)
    (told,) = verify_adapter(adapter, tiny_model)
    assert told.startswith(problem)


def test_a_torn_or_missing_file(adapter: Path, tiny_model: Path) -> None:
    whole = (adapter / WEIGHTS).read_bytes()
    (adapter / WEIGHTS).write_bytes(whole[:-100])
    assert verify_adapter(adapter, tiny_model)[0].startswith("cannot be read: ")
    (adapter / WEIGHTS).unlink()
    assert verify_adapter(adapter, tiny_model) == ["lacks adapter_model.safetensors"]
    (adapter / "adapter_config.json").unlink()
    assert verify_adapter(adapter, tiny_model) == ["lacks adapter_config.json, adapter_model.safetensors"]


@pytest.mark.parametrize("changed", [{"peft_type": "NONSENSE"}, {"target_modules": ["c_attn"]}])
def test_a_config_that_does_not_fit_the_base_model(adapter: Path, tiny_model: Path, changed: dict[str, Any]) -> None:
    config = adapter / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | changed))
    assert verify_adapter(adapter, tiny_model)[0].startswith(
        "cannot be read: peft cannot put adapter_config.json onto the base model"
    )
