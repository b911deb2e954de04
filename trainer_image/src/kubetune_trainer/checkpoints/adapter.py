"""Reads a LoRA adapter back: it is one only if peft can put every matrix of it onto the base model, and it does something."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from kubetune_trainer.checkpoints.verify import compare, model_on_meta, some
from kubetune_trainer.checkpoints.weights import Shapes, UnreadableError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
SECOND = ".lora_B."
"""Of an adapter's two matrices the one that starts at zero: while it is zero, the adapter adds nothing (arXiv:2106.09685, 4.1)."""


def verify_adapter(path: Path, base_model_dir: Path) -> list[str]:
    """What is wrong with the adapter; empty: it is whole, finite, fits the base model, and was trained."""
    missing = [name for name in (CONFIG, WEIGHTS) if not (path / name).is_file()]
    if missing:
        return [f"lacks {', '.join(missing)}"]
    try:
        with safe_open(path / WEIGHTS, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no mapping
            problems = compare(found, wanted(path, base_model_dir), set())
            return problems or values({name: file.get_tensor(name) for name in found})
    except (UnreadableError, SafetensorError, OSError) as error:
        return [f"cannot be read: {error}"]


def wanted(path: Path, base_model_dir: Path) -> Shapes:
    """What peft makes of the adapter's own config on the base model.

    Raises:
        UnreadableError: peft does not understand the config, or it does not fit the model.

    """
    from peft import PeftConfig, get_peft_model, get_peft_model_state_dict

    base = model_on_meta(base_model_dir)
    try:
        with torch.device("meta"):
            model = get_peft_model(base, PeftConfig.from_pretrained(str(path)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"peft cannot put {CONFIG} onto the base model: {error}") from error
    return {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}


def values(tensors: dict[str, torch.Tensor]) -> list[str]:
    """An adapter is small: it is looked at as a whole."""
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        return [f"{some(bad)}: NaN or infinite"]
    if not any(tensor.any() for name, tensor in tensors.items() if SECOND in name):
        return ["every lora_B is zero: nothing was trained (a learning rate that stays 0, or no token in the loss)"]
    return []
