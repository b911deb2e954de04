"""Two checkpoints' weights, compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def difference(one: Path, other: Path) -> float:
    """||a - b|| / ||a|| over all weights of two checkpoints."""
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    squared = sum(float((a[name].double() - b[name].double()).square().sum()) for name in a)
    return (squared / sum(float(a[name].double().square().sum()) for name in a)) ** 0.5


def weights(checkpoint: Path) -> dict[str, Any]:
    """Without the rotary embedding's frequencies: buffers that mini-trainer saves and transformers computes from the config."""
    from safetensors.torch import load_file

    return {name: value for name, value in load_file(checkpoint / "model.safetensors").items() if not name.endswith("inv_freq")}
