"""The formulas against transformers' own modules: names and shapes of weights, and what a block keeps for its backward pass."""

from __future__ import annotations

from typing import Any

import pytest
from estimated_jobs import job
from model_configs import VARIANTS

from kubetune.estimate import shape_of
from kubetune.estimate.activations import saved_in_a_block
from kubetune.estimate.plan import plan_of

TOKENS = 256


def model_of(config: dict[str, Any]) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_weight_has_transformers_name_and_shape(variant: str) -> None:
    import torch

    with torch.device("meta"):
        model = model_of(VARIANTS[variant])
    theirs = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    assert {each.name: each.shape for each in shape_of(VARIANTS[variant]).tensors} == theirs


@pytest.mark.parametrize("variant", ["llama", "qwen3"])
def test_a_block_keeps_for_its_backward_pass_what_is_told(variant: str) -> None:
    """On the CPU, in bfloat16 as FSDP casts it; what a GPU's kernels keep was not seen."""
    import torch

    config = VARIANTS[variant] | {"hidden_size": 256, "intermediate_size": 704, "head_dim": 64}
    model = model_of(config).to(torch.bfloat16)
    kept: dict[int, int] = {}  # bytes by storage: what several operations keep counts once
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def note(saved: Any) -> Any:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(saved)
        return saved

    alive: list[Any] = []
    hidden = torch.randn(1, TOKENS, 256, dtype=torch.bfloat16, requires_grad=True)
    positions = model.model.rotary_emb(hidden, torch.arange(TOKENS)[None])
    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        out = model.model.layers[0](hidden, position_embeddings=positions, attention_mask=None)
    del out
    shape = shape_of(config)
    told = TOKENS * saved_in_a_block(shape, plan_of(job(device="cpu"), shape))
    assert told == pytest.approx(sum(kept.values()), rel=0.04)
