from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from kubetune.api import crd_schema
from kubetune.api.crd_schema import structural_schema


class Inner(BaseModel):
    """The inner one."""

    size: int = Field(ge=1, description="Its size.")


class Outer(BaseModel):
    one: Inner
    other: Inner | None = Field(default=None, description="Said here.")
    many: list[Inner] = []


class Node(BaseModel):
    child: Node | None = None


def test_references_are_inlined_and_the_nearer_description_wins():
    schema = structural_schema(Outer)
    assert schema["properties"]["one"]["description"] == "The inner one."
    assert schema["properties"]["other"]["description"] == "Said here."
    assert schema["properties"]["other"]["properties"]["size"] == {"type": "integer", "minimum": 1, "description": "Its size."}
    assert schema["properties"]["many"]["items"]["properties"]["size"]["minimum"] == 1
    assert schema["required"] == ["one"]


def test_a_model_that_contains_itself_is_an_error():
    with pytest.raises(ValueError, match="Node contains itself"):
        structural_schema(Node)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int | None, {"type": "integer"}),
        (Literal["a", "bcd"], {"type": "string", "enum": ["a", "bcd"], "maxLength": 3}),
        (Literal["a"], {"type": "string", "enum": ["a"], "maxLength": 1}),
        (
            Annotated[float, Field(gt=0, lt=9)],
            {"type": "number", "minimum": 0, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": True},
        ),
        (dict[str, Any], {"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
    ],
)
def test_a_field_as_a_structural_schema(annotation: Any, expected: dict[str, Any]):
    model = type("Model", (BaseModel,), {"__annotations__": {"field": annotation}})
    assert structural_schema(model)["properties"]["field"] == expected


def test_a_property_named_like_a_keyword_stays():
    """The rules work on schemas, not on the names of properties."""
    model = type("Model", (BaseModel,), {"__annotations__": {"default": str, "title": str, "examples": str}})
    assert set(structural_schema(model)["properties"]) == {"default", "title", "examples"}


def test_rules_leave_their_argument_alone():
    before = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None, "title": "T"}
    copy = dict(before)
    for rule in crd_schema.RULES:
        rule(before)
    assert before == copy
