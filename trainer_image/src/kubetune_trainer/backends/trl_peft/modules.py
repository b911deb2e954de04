"""Which layers get an adapter, found out on the meta device before anything is launched."""

from __future__ import annotations

from pathlib import Path

from kubetune_trainer.errors import ConfigurationError

FIELD = "target_modules"
ALL = "all-linear"
"""peft's word for every linear layer but the output layer."""


def adapted_modules(model_dir: Path, wanted: list[str] | None) -> list[str]:
    """`wanted`, or the ends of the names of all linear layers but the output layer, sorted.

    Raises:
        ConfigurationError: a name fits no layer that can have an adapter, or it is the output layer's: trl computes the loss from
            that layer's own weights, so that an adapter on it would never be trained.

    """
    import torch
    from peft import LoraConfig, get_peft_model

    from kubetune_trainer.checkpoints.verify import model_on_meta

    model = model_on_meta(model_dir)
    names = {id(module): name for name, module in model.named_modules()}
    output = names.get(id(model.get_output_embeddings()))
    with torch.device("meta"):
        adapted = get_peft_model(model, LoraConfig(target_modules=ALL, task_type="CAUSAL_LM"))
    linear = [name for name in adapted.base_model.targeted_module_names if name != output]
    ends = sorted({name.rpartition(".")[2] for name in linear})
    for name in wanted or ():
        if output is not None and fits(output, name):
            problem = f"names {name!r}, the output layer, whose adapter trl would never train"
            raise ConfigurationError(FIELD, wanted, problem, f"leave it out; there are {', '.join(ends)}")
        if not any(fits(layer, name) for layer in linear):
            raise ConfigurationError(FIELD, wanted, f"names {name!r}, which fits no linear layer", f"there are {', '.join(ends)}")
    return wanted or ends


def fits(layer: str, name: str) -> bool:
    """As peft compares."""
    return layer == name or layer.endswith(f".{name}")
