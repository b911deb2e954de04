"""`kubetune estimate` against what the real backends wrote: the runs are those of the other tests here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from backend_runs import RATIO, Trained
from estimated_jobs import job
from model_configs import VARIANTS

from kubetune.cli.model_shape import read_shape
from kubetune.estimate import shape_of
from kubetune.estimate.osft import factored, kept_rank, patterns_of
from kubetune.estimate.plan import plan_of
from kubetune.estimate.storage import state_bytes, weights_bytes

pytestmark = pytest.mark.train

TRAINING: dict[str, dict[str, float]] = {"sft": {}, "osft": {"unfreezeRankRatio": RATIO}}
ITEM_BYTES = 2500
"""What torch adds to a tensor that it writes: names, shapes, the frame of a zip file. Nothing beside a real model."""


def size_of(folder: Path, *patterns: str) -> int:
    return sum(file.stat().st_size for pattern in patterns for file in folder.glob(pattern))


@pytest.mark.parametrize("algorithm", ["sft", "osft"])
def test_full_state_and_weights_have_the_size_that_is_told(algorithm: str, request: pytest.FixtureRequest) -> None:
    trained: Trained = request.getfixturevalue(f"{algorithm}_run")
    shape = read_shape(trained.run.model_dir, "model")
    assert shape == shape_of(json.loads((trained.run.model_dir / "config.json").read_text()), shape.tensors)
    plan = plan_of(job(algorithm, TRAINING[algorithm], device="cpu"), shape)
    tensors = len(shape.tensors) + (5 * len(plan.factored.targets) if plan.factored else 0)

    state = size_of(trained.state(2), "pytorch_model_fsdp.bin", "optimizer.bin", "distributed/*.distcp", "optimizer_rank_*.pt")
    assert state_bytes(shape, plan) <= state <= state_bytes(shape, plan) + 3 * ITEM_BYTES * tensors
    weights = size_of(trained.final, "*.safetensors")
    assert weights_bytes(shape, plan) <= weights <= weights_bytes(shape, plan) + 300 * (tensors + 1)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_osft_decomposes_and_keeps_is_what_the_backend_chooses(variant: str, ratio: float) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from kubetune_trainer.plugins.no_own_trackers import import_without_trackers

    import_without_trackers("mini_trainer")
    from mini_trainer.osft_utils import _build_osft_kwargs, auto_generate_target_osft_config

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**VARIANTS[variant]))
    chosen = auto_generate_target_osft_config(model, type(model), **_build_osft_kwargs(1.0 - ratio, None))
    shape = shape_of(VARIANTS[variant])
    ours = factored(shape.tensors, patterns_of(shape.architecture), ratio)
    assert {each.name: kept_rank(each.shape, ratio) for each in ours.targets} == {
        name: kept for name, kept in chosen.items() if kept
    }
