"""Reads a Hugging Face checkpoint back: it is one only if plain transformers loads it and it holds what the model needs.

Nothing is held in memory but one tensor at a time, so the check of a large model fits beside its training.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from kubetune_trainer.checkpoints.weights import (
    INDEX,
    SINGLE,
    Shapes,
    UnreadableError,
    has_weights,
    headers,
    lookup,
    silent,
    tensors,
)
from kubetune_trainer.data.preflight import trust_remote_code

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
FLOATS = ("F64", "F32", "F16", "BF16")
Verifier = Callable[[Path, Path], list[str]]
"""Takes a checkpoint and the base model's directory; returns what is wrong; empty: nothing. One for each kind of weights."""

NAMED = 5  # of a longer list, how many a message names


def verify_hf(path: Path, base_model_dir: Path) -> list[str]:
    """What is wrong with the checkpoint; empty: it is whole, finite, loads, and differs from the base model.

    The checks go from cheap to dear and stop at the first kind that fails. Keys and shapes are the model's own as
    transformers builds it from the checkpoint's config; that config must agree with the base model's but for the size of
    the vocabulary, which the backends round up.
    """
    if not path.is_dir() or not any(path.iterdir()):
        return ["is an empty directory"]
    if not has_weights(path):
        return [f"holds no weights ({SINGLE} or {INDEX})"]
    checks: tuple[Callable[[Path, Path], list[str]], ...] = (_files, _keys_and_shapes, _finite, _loads, _trained)
    for check in checks:
        try:
            problems = check(path, base_model_dir)
        except (UnreadableError, SafetensorError, OSError) as error:
            return [f"cannot be read: {error}"]
        if problems:
            return problems
    return []


def _files(path: Path, base: Path) -> list[str]:
    """config.json, and the tokenizer with what the base model's has."""
    wanted = ["config.json", *(name for name in (*TOKENIZER_FILES, "tokenizer_config.json") if (base / name).is_file())]
    missing = [name for name in wanted if not (path / name).is_file()]
    return [f"lacks {', '.join(missing)}"] if missing else []


def _keys_and_shapes(path: Path, base: Path) -> list[str]:
    model = model_on_meta(path)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(getattr(model, "_tied_weights_keys", None) or {}) if model.config.get_text_config().tie_word_embeddings else set()
    found, dtypes = headers(path)
    found = {name: shape for name, shape in found.items() if _recomputed(model).get(name) != shape}
    problems = compare(found, wanted, tied)
    if problems and (path / SINGLE).is_file() and has_weights(base):
        # transformers may keep a model under other names in memory than on disk: the base model's file is as good a witness
        problems = compare(found, headers(base)[0], tied) and problems
    whole_numbers = [name for name, dtype in dtypes.items() if dtype not in FLOATS and _floating(model, name)]
    if whole_numbers:
        problems.append(f"{some(whole_numbers)}: not of a floating-point type")
    return problems + _same_architecture(path, base)


def _recomputed(model: Any) -> Shapes:
    """Buffers that transformers computes anew and does not load; mini-trainer saves them (the rotary embedding's frequencies)."""
    kept = model.state_dict()
    return {name: tuple(buffer.shape) for name, buffer in model.named_buffers() if name not in kept}


def compare(found: Shapes, wanted: Shapes, tied: set[str]) -> list[str]:
    missing = [name for name in wanted if name not in found and name not in tied]
    unknown = [name for name in found if name not in wanted]
    reshaped = [
        f"{name} {list(found[name])} for {list(wanted[name])}" for name in wanted if found.get(name, wanted[name]) != wanted[name]
    ]
    kinds = (("lacks the weights", missing), ("has unknown weights", unknown), ("has weights of a wrong shape", reshaped))
    return [f"{text} {some(names)}" for text, names in kinds if names]


def _same_architecture(path: Path, base: Path) -> list[str]:
    ours, theirs = (_shapes_but_vocabulary(model_on_meta(directory)) for directory in (path, base))
    return [] if ours == theirs else ["its config.json describes another architecture than the base model's"]


def _shapes_but_vocabulary(model: Any) -> Shapes:
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    embeddings = {id(module.weight) for module in ends if module is not None}
    named = model.named_parameters()
    return {name: tuple(tensor.shape)[1:] if id(tensor) in embeddings else tuple(tensor.shape) for name, tensor in named}


def model_on_meta(path: Path) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code())
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=trust_remote_code())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableError(f"transformers builds no causal language model from {path.name}/config.json: {error}") from error


def _floating(model: Any, name: str) -> bool:
    tensor = dict(model.state_dict()).get(name)
    return tensor is None or tensor.is_floating_point()


def _finite(path: Path, base: Path) -> list[str]:  # noqa: ARG001 - one signature for all checks
    bad = [name for name, tensor in tensors(path) if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    return [f"{some(bad)}: NaN or infinite"] if bad else []


def _loads(path: Path, base: Path) -> list[str]:  # noqa: ARG001 - as above
    """Really loads it, on the meta device: every name must find its place, and no weight may be left newly initialised."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with silent():
        try:
            model, info = AutoModelForCausalLM.from_pretrained(
                path, device_map="meta", dtype="auto", output_loading_info=True, trust_remote_code=trust_remote_code()
            )
            AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code())
        except Exception as error:  # noqa: BLE001 - whatever transformers raises, the checkpoint does not load
            return [f"does not load in transformers: {str(error)[:500]}"]
    left = {kind: [str(name) for name in names if name not in _recomputed(model)] for kind, names in info.items()}
    return [f"loads with {kind.replace('_', ' ')}: {some(names)}" for kind, names in left.items() if names]


def _trained(path: Path, base: Path) -> list[str]:
    """Both libraries can save a model in which nothing was trained: then every weight is the base model's, bit for bit."""
    original = lookup(base)
    compared = 0
    for name, tensor in tensors(path):
        before = original(name)
        if before is None:
            continue
        compared += 1
        if before.shape != tensor.shape or not torch.equal(before.to(tensor.dtype), tensor):
            return []
    if not compared:
        return ["shares no weight's name with the base model: it cannot be told whether anything was trained"]
    return ["every weight equals the base model's: nothing was trained (a learning rate that stays 0, or no token in the loss)"]


def some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
