"""Lets mini-trainer save a model whose lm_head is its embedding: the alias is left out, as transformers' own save does.

FSDP2 keeps both names on one parameter, so that the state dict which save_model gathers holds it twice: with one rank on one
storage, which safetensors refuses ("Some tensors share memory"). Untying instead would change the model.
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
        inner = getattr(model, "module", model)
        if options and options.full_state_dict and getattr(inner.config, "tie_word_embeddings", False):
            drop_aliases(state, aliases(inner))
        return state

    setattr(module, "get_model_state_dict", gather_once)  # noqa: B010 - typed as a function


def aliases(model: Any) -> set[str]:
    """The further names of parameters that have several; the first one stays.

    By the model's parameters, not by the gathered tensors' storage: with several ranks each name is gathered into its own.
    """
    seen, further = set(), set()
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if id(parameter) in seen:
            further.add(name)
        seen.add(id(parameter))
    return further


def drop_aliases(state: dict[str, Any], names: set[str]) -> None:
    """Takes the aliases out of a gathered state (empty on ranks other than the first).

    Raises:
        RuntimeError: the model says that it is tied, yet head and embedding are two parameters: dropping one would change it.

    """
    for name in names:
        state.pop(name, None)
    if HEAD in state and EMBEDDING in state:
        raise RuntimeError("tie_word_embeddings is set but lm_head and embed_tokens are separate parameters")
