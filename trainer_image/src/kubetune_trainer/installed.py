"""The function of an installed algorithm that has none written out: kubetune_trainer.<name>(...), as sft() and osft() are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kubetune_trainer.registry import AlgorithmRegistry, create_algorithm

POSITIONAL = 3
"""model_path, data_path and ckpt_output_dir may be given without their names."""


def function_of(name: str) -> Callable[..., Any]:
    """Trains with that algorithm; its signature and its help are made of the algorithm's own parameters.

    Raises:
        ConfigurationError: (a ValueError) the algorithm cannot be loaded.

    """
    algorithm = AlgorithmRegistry.get_algorithm(name)
    told = create_algorithm(name)
    required, optional = told.get_required_params(), told.get_optional_params()
    places = list(required)[:POSITIONAL]

    def train(*given: Any, backend: str | None = None, **arguments: Any) -> Any:
        if len(given) > POSITIONAL:
            raise TypeError(f"{name}() takes {POSITIONAL} positional arguments, {', '.join(places)}; give the others by name")
        return create_algorithm(name, backend).train(**dict(zip(places, given, strict=False)), **arguments)

    train.__name__ = train.__qualname__ = name
    train.__signature__ = signature_of(required, optional)  # type: ignore[attr-defined]  # inspect reads it
    train.__doc__ = help_of(algorithm.__doc__ or name, algorithm.parameters.model_fields)
    return train


def signature_of(required: Mapping[str, Any], optional: Mapping[str, Any]) -> inspect.Signature:
    kinds = inspect.Parameter
    parameters = [
        kinds(name, kinds.POSITIONAL_OR_KEYWORD if place < POSITIONAL else kinds.KEYWORD_ONLY, annotation=annotation)
        for place, (name, annotation) in enumerate(required.items())
    ]
    more = {"backend": str, **optional}
    parameters += [kinds(name, kinds.KEYWORD_ONLY, annotation=annotation, default=None) for name, annotation in more.items()]
    return inspect.Signature(parameters)


def help_of(purpose: str, fields: Mapping[str, Any]) -> str:
    lines = [f"    {name}: {field.description}" for name, field in fields.items()]
    return "\n".join([inspect.cleandoc(purpose), "", 'None is "not set". Returns and raises as sft().', "", "Args:", *lines])
