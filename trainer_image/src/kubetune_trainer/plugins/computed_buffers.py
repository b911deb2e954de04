"""Leaves the rotary frequencies out of mini-trainer's checkpoints: transformers computes them anew and calls saved ones unexpected.

They become part of the state where mini-trainer builds the model on the meta device (transformers keeps them out of it).
"""

from __future__ import annotations

from typing import Any

PRIVATE_NAMES = ("torch.distributed.checkpoint.state_dict:get_model_state_dict",)
COMPUTED = ("rotary_emb.inv_freq", "rotary_emb.original_inv_freq")


def install() -> None:
    """Replaces the gathering function where save_model imports it from, each time that it is called."""
    from torch.distributed.checkpoint import state_dict as module

    gather = module.get_model_state_dict

    def gather_parameters(model: Any, *, options: Any = None, **more: Any) -> dict[str, Any]:
        state: dict[str, Any] = gather(model, options=options, **more)
        return without_computed(state) if options and options.full_state_dict else state

    setattr(module, "get_model_state_dict", gather_parameters)  # noqa: B010 - typed as a function


def without_computed(state: dict[str, Any]) -> dict[str, Any]:
    """`state` but for the buffers that a loaded model has anyway. Empty stays empty (ranks other than the first)."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(COMPUTED)}
