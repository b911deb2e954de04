"""A Hugging Face checkpoint is one only if it is whole, finite, loads, and is not what the training began with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from scripted import save_empty, save_nan, save_torn, save_trained, save_unchanged
from tiny import make_tiny_model

from kubetune_trainer.checkpoints import has_weights, verify_hf

LAYER = "model.layers.0.self_attn.q_proj.weight"


def change(edit: Callable[[dict[str, Any]], Any]) -> Callable[[Path, Path], Path]:
    """A save whose tensors were edited."""
    return lambda base, target: save_trained(base, target, edit)


def then(edit: Callable[[Path], Any]) -> Callable[[Path, Path], Path]:
    """A good save whose files were edited."""

    def save(base: Path, target: Path) -> Path:
        edit(save_trained(base, target))
        return target

    return save


def config(**more: Any) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        values = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps({**values, **more}))

    return edit


def in_two_shards(path: Path, *, forget: str | None = None) -> None:
    tensors = load_file(path / "model.safetensors")
    (path / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
    for file, part in parts.items():
        save_file({name: tensors[name] for name in part}, path / file, {"format": "pt"})
    (path / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {n: f for f, part in parts.items() for n in part}})
    )
    if forget:
        (path / forget).unlink()


def swap(old: str, new: str) -> Callable[[dict[str, Any]], Any]:
    return lambda tensors: {(new if name == old else name): tensor for name, tensor in tensors.items()}


BAD: list[tuple[str, Callable[[Path, Path], Path], str]] = [
    ("an empty directory", save_empty, "is an empty directory"),
    ("no weights", then(lambda path: (path / "model.safetensors").unlink()), "holds no weights"),
    ("unchanged", save_unchanged, "nothing was trained"),
    ("torn", save_torn, "cannot be read"),
    ("empty file", then(lambda path: (path / "model.safetensors").write_bytes(b"")), "cannot be read"),
    ("NaN", save_nan, "model.norm.weight: NaN or infinite"),
    ("infinite", change(lambda tensors: tensors[LAYER].fill_(float("inf"))), "NaN or infinite"),
    ("lacks a weight", change(lambda tensors: tensors.pop(LAYER)), f"lacks the weights {LAYER}"),
    ("an unknown weight", change(lambda tensors: tensors.update(extra=torch.ones(2))), "has unknown weights extra"),
    ("a renamed weight", change(swap(LAYER, "module." + LAYER)), f"unknown weights module.{LAYER}"),
    ("a wrong shape", change(lambda tensors: tensors.update({LAYER: torch.ones(3, 3)})), f"{LAYER} [3, 3] for [64, 64]"),
    (
        "whole numbers",
        change(lambda tensors: tensors.update({LAYER: torch.ones(64, 64, dtype=torch.int32)})),
        "not of a floating-point",
    ),
    ("no config", then(lambda path: (path / "config.json").unlink()), "lacks config.json"),
    ("torn config", then(lambda path: (path / "config.json").write_text("{")), "cannot be read"),
    ("no tokenizer", then(lambda path: (path / "tokenizer.json").unlink()), "lacks tokenizer.json"),
    ("torn tokenizer", then(lambda path: (path / "tokenizer.json").write_text("{")), "does not load in transformers"),
    ("another architecture", then(config(num_attention_heads=2, num_key_value_heads=1)), "cannot|shape|another architecture"),
    ("a shard missing", then(lambda path: in_two_shards(path, forget="model-00002-of-00002.safetensors")), "missing"),
    (
        "a torn index",
        then(lambda path: in_two_shards(path) or (path / "model.safetensors.index.json").write_text("{}")),
        "no index",
    ),
]


@pytest.mark.parametrize(("save", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_found_wanting(tiny_model: Path, tmp_path: Path, save: Callable[[Path, Path], Path], says: str, capfd: Any):
    import re

    path = save(tiny_model, tmp_path / "samples_80")
    capfd.readouterr()

    problems = verify_hf(path, tiny_model)

    assert problems
    assert re.search(says.replace("[", r"\[").replace("]", r"\]"), "; ".join(problems))
    assert capfd.readouterr().out == ""


def one_changed(base: Path, target: Path) -> Path:
    shutil.copytree(base, target)
    tensors = load_file(target / "model.safetensors")
    tensors[LAYER][0, 0] += 1e-6
    save_file(tensors, target / "model.safetensors", {"format": "pt"})
    return target


GOOD: list[tuple[str, Callable[[Path, Path], Path]]] = [
    ("trained", save_trained),
    ("in bfloat16", change(lambda tensors: {name: tensor.bfloat16() for name, tensor in tensors.items()})),
    ("in shards", then(in_two_shards)),
    ("one weight alone was trained", one_changed),
    ("with buffers that are computed anew", change(lambda t: t.update({"model.rotary_emb.inv_freq": torch.ones(8)}))),
]


@pytest.mark.parametrize("save", [case[1] for case in GOOD], ids=[case[0] for case in GOOD])
def test_verified(tiny_model: Path, tmp_path: Path, save: Callable[[Path, Path], Path]):
    assert verify_hf(save(tiny_model, tmp_path / "c"), tiny_model) == []


def test_rounding_to_bfloat16_is_no_training(tiny_model: Path, tmp_path: Path):
    path = Path(shutil.copytree(tiny_model, tmp_path / "c"))
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(path / "model.safetensors").items()}
    save_file(tensors, path / "model.safetensors", {"format": "pt"})

    assert "nothing was trained" in verify_hf(path, tiny_model)[0]


def test_tied_embeddings_may_leave_out_the_head_and_only_it(tiny_tied_model: Path, tmp_path: Path):
    path = save_trained(tiny_tied_model, tmp_path / "c")
    assert "lm_head.weight" not in load_file(path / "model.safetensors")
    assert verify_hf(path, tiny_tied_model) == []

    tensors = load_file(path / "model.safetensors")
    del tensors["model.embed_tokens.weight"]
    save_file(tensors, path / "model.safetensors", {"format": "pt"})
    assert "lacks the weights model.embed_tokens.weight" in verify_hf(path, tiny_tied_model)[0]


def test_untied_the_head_must_be_there(tiny_model: Path, tmp_path: Path):
    path = save_trained(tiny_model, tmp_path / "c", lambda tensors: tensors.pop("lm_head.weight"))

    assert verify_hf(path, tiny_model) == ["lacks the weights lm_head.weight"]


def test_a_vocabulary_that_was_rounded_up(tiny_model: Path, tmp_path: Path):
    """instructlab-training makes the embedding's rows a multiple of eight."""

    def grow(tensors: dict[str, Any]) -> None:
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            tensors[name] = torch.cat([tensors[name], torch.zeros(8, 64)])

    path = save_trained(tiny_model, tmp_path / "c", grow)
    config(vocab_size=json.loads((tiny_model / "config.json").read_text())["vocab_size"] + 8)(path)

    assert verify_hf(path, tiny_model) == []


def test_another_models_checkpoint(tiny_model: Path, tmp_path: Path):
    other = make_tiny_model(tmp_path / "qwen", arch="qwen2")

    assert verify_hf(save_trained(other, tmp_path / "c"), tiny_model)


def test_a_base_model_without_safetensors(tiny_model: Path, tmp_path: Path):
    base = Path(shutil.copytree(tiny_model, tmp_path / "base"))
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()

    assert verify_hf(save_trained(tiny_model, tmp_path / "c"), base) == []
    assert "nothing was trained" in verify_hf(save_unchanged(tiny_model, tmp_path / "d"), base)[0]


def test_has_weights(tiny_model: Path, tmp_path: Path):
    assert has_weights(tiny_model)
    assert not has_weights(tmp_path)
