"""From pydantic's JSON Schema to Kubernetes' structural schema: one pure function a rule.

Source of the rules: kubernetes.io, "Extend the Kubernetes API with CustomResourceDefinitions", Specifying a structural schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

MAX_TIME = 64

PRESERVE = "x-kubernetes-preserve-unknown-fields"
DROPPED = ("title", "examples", "default", "$defs")
"""Nothing a cluster needs. Defaults go, too: one that the API server wrote would show as a difference in GitOps tools."""


def structural_schema(model: type[BaseModel]) -> Schema:
    """The model as a structural schema, descriptions kept. Raises ValueError on a model that contains itself."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return transform(inline_references(raw, raw.get("$defs", {})))


def inline_references(schema: Any, definitions: Mapping[str, Schema], inside: tuple[str, ...] = ()) -> Any:
    """$ref replaced by what it names; what stands beside it (a field's description) wins over the definition's own."""
    if isinstance(schema, list):
        return [inline_references(each, definitions, inside) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        if name in inside:
            raise ValueError(f"{name} contains itself: no structural schema can say that")
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return {**inline_references(definitions[name], definitions, (*inside, name)), **beside}
    return {key: inline_references(value, definitions, inside) for key, value in schema.items() if key != "$defs"}


def transform(schema: Schema) -> Schema:
    """Every rule, on this schema and on all beneath it."""
    for rule in RULES:
        schema = rule(schema)
    nested = {"properties": each_value, "items": transform, "additionalProperties": transform}
    return {key: nested[key](value) if key in nested else value for key, value in schema.items()}


def each_value(properties: Mapping[str, Schema]) -> dict[str, Schema]:
    return {name: transform(each) for name, each in properties.items()}


def without_null(schema: Schema) -> Schema:
    """Of anyOf [X, null] X stays: in Kubernetes a field is optional by not being required. X's own description gives way."""
    if "anyOf" not in schema:
        return schema
    members = [each for each in schema["anyOf"] if each.get("type") != "null"]
    if len(members) != 1:
        return schema
    return {**members[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def const_as_enum(schema: Schema) -> Schema:
    if "const" not in schema:
        return schema
    return {**{key: value for key, value in schema.items() if key != "const"}, "enum": [schema["const"]]}


def bounded_enum(schema: Schema) -> Schema:
    """The longest value as maxLength: the estimate of a CEL rule's cost does not look at enum."""
    values = schema.get("enum", [])
    if not values or not all(isinstance(each, str) for each in values):
        return schema
    return {**schema, "maxLength": max(map(len, values))}


def bounded_times(schema: Schema) -> Schema:
    """RFC 3339 bounds no fraction of a second: a time could be megabytes of digits."""
    return {**schema, "maxLength": MAX_TIME} if schema.get("format") == "date-time" else schema


def exclusive_bounds_as_flags(schema: Schema) -> Schema:
    """exclusiveMinimum: 0 is minimum: 0 and exclusiveMinimum: true (OpenAPI 3.0, which the API server speaks)."""
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if name in schema and not isinstance(schema[name], bool):
            schema = {**schema, bound: schema[name], name: True}
    return schema


def closed_without_saying(schema: Schema) -> Schema:
    """additionalProperties: false beside properties is what a structural schema means anyway, and may not say."""
    return {key: value for key, value in schema.items() if (key, value) != ("additionalProperties", False)}


def open_as_preserved(schema: Schema) -> Schema:
    """Maps and objects of anything: unknown fields preserved, without additionalProperties (the two exclude each other)."""
    if schema.get("additionalProperties") not in (True, {}):
        return schema
    return {**{key: value for key, value in schema.items() if key != "additionalProperties"}, PRESERVE: True}


def dropped_keywords(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in DROPPED}


def bounded_properties(schema: Schema) -> Schema:
    """Pydantic writes a map's bounds as maxProperties already; the keys' pattern has no place in a structural schema."""
    return {key: value for key, value in schema.items() if key != "propertyNames"}


RULES: tuple[Callable[[Schema], Schema], ...] = (
    without_null,
    const_as_enum,
    bounded_enum,
    bounded_times,
    exclusive_bounds_as_flags,
    closed_without_saying,
    open_as_preserved,
    dropped_keywords,
    bounded_properties,
)
