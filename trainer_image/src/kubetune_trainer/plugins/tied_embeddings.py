"""Lets mini-trainer save a model whose lm_head is its embedding: the alias is left out, as transformers' own save does.

FSDP2 keeps both names on one parameter, so the state dict that save_model gathers holds two names on one storage, and
safetensors refuses it ("Some tensors share memory"). Untying instead would change the model.
"""

from __future__ import annotations

from typing import Any

PRIVATE_NAMES = ("torch.distributed.checkpoint.state_dict:get_model_state_dict",)
HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


def install() -> None:
    """Replaces the gathering function where save_model imports it from, each time that it is called."""
    from torch.distributed.checkpoint import state_dict as module

    gather = module.get_model_state_dict

    def gather_once(model: Any, *, options: Any = None, **more: Any) -> dict[str, Any]:
        state: dict[str, Any] = gather(model, options=options, **more)
        config = getattr(model, "module", model).config
        if options and options.full_state_dict and getattr(config, "tie_word_embeddings", False):
            drop_aliases(state)
        return state

    setattr(module, "get_model_state_dict", gather_once)  # noqa: B010 - typed as a function


def drop_aliases(state: dict[str, Any]) -> None:
    """Keeps the first name of each storage.

    Raises:
        RuntimeError: the model says that it is tied, yet head and embedding are two tensors: dropping one would change it.

    """
    seen = set()
    for name, tensor in list(state.items()):
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape)
        if place in seen:
            del state[name]
        seen.add(place)
    if HEAD in state and EMBEDDING in state:
        raise RuntimeError("tie_word_embeddings is set but lm_head and embed_tokens are separate tensors")
