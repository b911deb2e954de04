"""The weights of a Hugging Face directory, a tensor at a time: files, names, shapes, values."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from kubetune_trainer.data.preflight import trust_remote_code

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"

Shapes = dict[str, tuple[int, ...]]


class UnreadableError(Exception):
    """The checkpoint cannot be opened at all; the text is the problem."""


def has_weights(path: Path) -> bool:
    """Whether the directory holds weights at all: an interrupted or failed save leaves an empty one."""
    return (path / SINGLE).is_file() or (path / INDEX).is_file()


def shards(path: Path) -> list[Path]:
    """The safetensors files that make up the weights.

    Raises:
        UnreadableError: the index names a file that is missing, or is no index.

    """
    if not (path / INDEX).is_file():
        return [path / SINGLE]
    try:
        names = sorted(set(json.loads((path / INDEX).read_text())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UnreadableError(f"{INDEX} is no index of weights") from error
    missing = [name for name in names if not (path / name).is_file()]
    if missing or not names:
        raise UnreadableError(f"{INDEX} names {', '.join(missing) or 'no file'}, missing")
    return [path / name for name in names]


def tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor by name, one at a time, on the CPU."""
    for shard in shards(path):
        with safe_open(shard, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                yield name, file.get_tensor(name)


def headers(path: Path) -> tuple[Shapes, dict[str, str]]:
    """Shape and dtype of every tensor, from the headers alone."""
    shapes: Shapes = {}
    dtypes: dict[str, str] = {}
    for shard in shards(path):
        with safe_open(shard, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 - as above
                if name in shapes:
                    raise UnreadableError(f"{name} is in two files")
                part = file.get_slice(name)
                shapes[name], dtypes[name] = tuple(part.get_shape()), part.get_dtype()
    return shapes, dtypes


def lookup(base: Path) -> Callable[[str], torch.Tensor | None]:
    """The base model's tensors by name, read when asked for; only a model without safetensors is loaded whole."""
    if not has_weights(base):
        from transformers import AutoModelForCausalLM

        with silent():
            model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", trust_remote_code=trust_remote_code())
        state: Mapping[str, torch.Tensor] = model.state_dict()
        return state.get
    places = {name: shard for shard in shards(base) for name in names(shard)}

    def read(name: str) -> torch.Tensor | None:
        if name not in places:
            return None
        with safe_open(places[name], framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
            return tensor

    return read


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """No progress bar and no report on the user's terminal: what they would say is in the problems returned."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def names(shard: Path) -> list[str]:
    with safe_open(shard, framework="pt") as file:
        return list(file.keys())
