"""Arguments to validated parameters, and errors that name the argument, its value and the remedy. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import TrainingParameters


def parameters_of(model: type[TrainingParameters], values: Mapping[str, Any]) -> TrainingParameters:
    """An algorithm's parameters (`model` is their class) from their Python names; None is "not set".

    Raises:
        ConfigurationError: the first thing that is wrong: an unknown name (with the nearest known one), a missing or an
            impossible value, or two that exclude each other.

    """
    given = {name: value for name, value in values.items() if value is not None}
    for name in given:
        if name not in model.model_fields:
            raise unknown_name("argument", name, model.model_fields)
    try:
        return model(**given)
    except ValidationError as error:
        raise configuration_error(model, given, error) from None


FEW = 8
"""So many names are listed even where a near one was found."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> ConfigurationError:
    """Names the nearest known name where one is near, and all of them where none is or where they are few."""
    names = sorted(set(known))
    near = difflib.get_close_matches(str(name), names, n=1)
    hints = [f"did you mean {near[0]}?"] if near else []
    if not near or len(names) <= FEW:
        hints.append(f"known: {', '.join(names) or 'none'}")
    return ConfigurationError(what, name, "is not known", " ".join(hints))


def configuration_error(model: type[TrainingParameters], given: Mapping[str, Any], error: ValidationError) -> ConfigurationError:
    """The first of pydantic's errors in our form, by Python names (the resource's names are camelCase)."""
    first = error.errors(include_url=False)[0]
    names = {field.alias: name for name, field in model.model_fields.items() if field.alias}
    if not first["loc"]:  # two arguments that exclude each other: the message names both, and the remedy
        return of_several(first["msg"].removeprefix("Value error, "), names, given)
    name = names.get(str(first["loc"][0]), str(first["loc"][0]))
    description = model.model_fields[name].description or "see the usage document"
    if first["type"] == "missing":
        return ConfigurationError(name, None, "is missing", f"give it: {description}")
    return ConfigurationError(name, given.get(name), f"is refused: {first['msg'][0].lower()}{first['msg'][1:]}", description)


def of_several(message: str, names: Mapping[str, str], given: Mapping[str, Any]) -> ConfigurationError:
    text = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), message)
    problem, _, remedy = text.partition("; ")
    name = next((word for word in re.findall(r"\w+", text) if word in names.values()), "parameters")
    return ConfigurationError(name, given.get(name), f"is refused: {problem}", remedy)
