"""pydantic's errors in the user's terms: what stands there, what is wrong with it, what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from kubetune.api.errors import FieldError

Location = Sequence[str | int]
Words = Callable[[Any, Mapping[str, Any]], tuple[str, str]]
"""(value, pydantic's context) -> (message, remedy)."""


def path_of(location: Location) -> str:
    """("spec", "volumes", 0, "name") as spec.volumes[0].name."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def translate(error: ErrorDetails, root: type[BaseModel]) -> FieldError:
    """One error of pydantic's as one of ours. `root` is the model that was validated."""
    location = without_union_member(error["loc"])
    field, value, kind = path_of(location), error["input"], error["type"]
    if kind == "extra_forbidden":
        return FieldError(field, value, "unknown field", did_you_mean(str(location[-1]), known_fields(root, location[:-1])))
    if kind == "missing":
        return FieldError(field, None, "required field is missing", f"add it{described(root, location)}")
    words = WORDS.get(kind, fallback(error))
    return FieldError(field, value, *words(value, error.get("ctx", {})))


def without_union_member(location: Location) -> Location:
    """The location without the names that pydantic adds for members of a union; our field names have no such characters."""
    return tuple(step for step in location if isinstance(step, int) or not step.startswith(("constrained-", "function-")))


def fallback(error: ErrorDetails) -> Words:
    return lambda value, _: (
        f"{value!r} is not accepted ({error['msg']})",
        "see `kubetune crds` or `kubectl explain` for the field",
    )


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A remedy for an unknown name. Case and underscores do not count for likeness: snake_case finds camelCase."""
    plain = {plain_name(each): each for each in known}
    near = get_close_matches(plain_name(name), plain, n=1, cutoff=0.6)
    if near:
        return f"did you mean {plain[near[0]]}?"
    return f"known here: {', '.join(sorted(known))}" if known else "remove it"


def plain_name(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def known_fields(root: type[BaseModel], location: Location) -> list[str]:
    model = model_at(root, location)
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def described(root: type[BaseModel], location: Location) -> str:
    """What the field at that location is for, as the end of a remedy; empty where nothing says so."""
    model = model_at(root, location[:-1])
    field = field_of(model, location[-1]) if model else None
    return f": {field.description.rstrip('.')}" if field and field.description else ""


def model_at(root: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model whose fields stand at that location."""
    model: type[BaseModel] | None = root
    for step in location:
        if isinstance(step, int):
            continue
        field = field_of(model, step) if model else None
        model = model_in(field.annotation) if field else None
    return model


def field_of(model: type[BaseModel], name: str | int) -> FieldInfo | None:
    return next((field for key, field in model.model_fields.items() if name in (field.alias, key)), None)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside X, X | None or list[X]."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, list, tuple):
        return next((found for member in get_args(annotation) if (found := model_in(member))), None)
    return None


def wants(what: str, remedy: str) -> Words:
    return lambda value, _: (f"{value!r} is not {what}", unquoted(value) or remedy)


def unquoted(value: Any) -> str | None:
    """The remedy for a number or a truth value in quotes (or one that YAML 1.1 takes for text, like 2e-5)."""
    if not isinstance(value, str):
        return None
    if value.lower() in ("true", "false"):
        return f"write {value.lower()} without quotes"
    try:
        number = float(value)
    except ValueError:
        return None
    return f"write {value if value.lstrip('-').isdecimal() else number} without quotes"


def at_most(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    return f"{value!r} is more than {context['le']:g}", f"use at most {context['le']:g}"


def at_least(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    return f"{value!r} is less than {context['ge']:g}", f"use at least {context['ge']:g}"


def above(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    return f"{value!r} is not more than {context['gt']:g}", f"use more than {context['gt']:g}"


def one_of(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    expected = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
    near = get_close_matches(str(value), expected, n=1)
    return f"{value!r} is unknown", f"did you mean {near[0]}?" if near else f"known: {', '.join(expected)}"


def too_long(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    most, unit = context["max_length"], "characters" if isinstance(value, str) else "items"
    return f"{len(value)} {unit} are more than {most}", f"use at most {most}"


def too_short(value: Any, _: Mapping[str, Any]) -> tuple[str, str]:
    return f"{value!r} is empty", "give it a value or leave the field out"


def not_matching(value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    return f"{value!r} is not well-formed", f"it must match {context['pattern']}"


def quantity(value: Any, _: Mapping[str, Any]) -> tuple[str, str]:
    quoted = f"'{value}' in quotes" if isinstance(value, float) and value >= 0 else "a number from 0 with a unit such as Gi or m"
    return f"{value!r} is not a quantity", f"write {quoted}"


A_WHOLE_NUMBER = wants("a whole number", "write a whole number")
A_NUMBER = wants("a number", "write a number")
TRUE_OR_FALSE = wants("true or false", "write true or false")
TEXT = wants("text", "write it in quotes")
A_MAP = wants("a block of fields", "write fields beneath it, one a line")
A_LIST = wants("a list", "write a list: one item a line, each with a leading '-'")

WORDS: dict[str, Words] = {
    "less_than_equal": at_most,
    "greater_than_equal": at_least,
    "greater_than": above,
    "int_type": A_WHOLE_NUMBER,
    "int_parsing": A_WHOLE_NUMBER,
    "int_from_float": A_WHOLE_NUMBER,
    "int_parsing_size": A_WHOLE_NUMBER,
    "float_type": A_NUMBER,
    "float_parsing": A_NUMBER,
    "finite_number": wants("a finite number", "write a finite number"),
    "bool_type": TRUE_OR_FALSE,
    "bool_parsing": TRUE_OR_FALSE,
    "string_type": TEXT,
    "dict_type": A_MAP,
    "model_type": A_MAP,
    "model_attributes_type": A_MAP,
    "list_type": A_LIST,
    "tuple_type": A_LIST,
    "literal_error": one_of,
    "enum": one_of,
    "string_too_long": too_long,
    "too_long": too_long,
    "string_too_short": too_short,
    "too_short": too_short,
    "string_pattern_mismatch": not_matching,
    "quantity": quantity,
}
"""By pydantic's error type (docs.pydantic.dev, "Validation errors")."""
