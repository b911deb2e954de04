"""A hypothesis strategy over jobs that a user might write: a job of the table with edits that the CRD's schema and the
table suggest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from case import ABSENT, SMALLEST, Case, edited
from cases import CASES
from hypothesis import strategies as st

from kubetune.api.crd import root_schema
from kubetune.api.job import KINDS

WORDS = (
    "", " ", "a", "main", "teach", "Teach", "a_b", "a.b", "-a", "a-", "1", "0", "true", "8Gi", "0.5", "1e-5", "2e3", "-1", "ü",
    "hf://org/name", "hf://org/name@main", "hf://org", "hf://org/name/train.jsonl", "hf://a/b@v1/c/d.jsonl",
    "pvc://data", "pvc://data/train.jsonl", "pvc://data/", "pvc://data/../x", "pvc://Data/x", "pvc://", "configMap://a/b",
    "configMap://a", "/", "/models", "/models/", "models", "s3://bucket/key", "a" * 41, "a" * 64, "a" * 254, "x" * 1025,
)  # fmt: skip
JUNK = (None, True, False, 0, 1, -1, 0.5, 1.0, 2**31, 2**63, 1e308, "", "x", [], [1], ["a"], {}, {"a": "b"}, {"a": 1})

Edit = dict[str, Any]


def leaves(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field below, with its schema; blocks themselves as well."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from leaves(field, f"{path}.{name}")


FIELDS = {kind: list(leaves(root_schema(model)["properties"]["spec"], "spec")) for kind, model in KINDS.items()}
TABLE = {kind: [(path, value) for case in CASES if case.kind == kind for path, value in case.edit.items()] for kind in KINDS}


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What the schema allows, its bounds and just beyond, sometimes something else."""
    return st.one_of(fitting(schema), fitting(schema), st.sampled_from(JUNK), st.just(ABSENT))


def fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "Other"])
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return numbers(schema, whole=kind == "integer")
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(fitting(schema["items"]), max_size=3)
    if kind == "object":
        return objects(schema)
    return st.one_of(st.sampled_from(WORDS), st.text(max_size=12))


def numbers(schema: dict[str, Any], *, whole: bool) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum", -1), schema.get("maximum", 1000)
    near = [low, high, *((low - 1, low + 1, high - 1, high + 1) if whole else (low - 0.5, low + 0.25, high / 2, high + 0.5))]
    return st.sampled_from(near) | (st.integers(-2, 200) if whole else st.floats(-1, 3, allow_nan=False))


def objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """A block with some of its fields; a map with a few entries."""
    fields = schema.get("properties")
    if not fields:
        entries = schema.get("additionalProperties")
        inner = fitting(entries) if isinstance(entries, dict) else st.sampled_from(WORDS)
        keys = st.sampled_from(("a", "A", "cpu", "memory", "nvidia.com/gpu", "b/c", "b/c/d", "", "é", "kubetune.dev/x"))
        return st.dictionaries(keys, inner, max_size=2)
    required = {name: fitting(fields[name]) for name in schema.get("required", ())}
    optional = {name: fitting(field) for name, field in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=dict(list(optional.items())[:12]))


def edits(kind: str) -> st.SearchStrategy[list[tuple[str, Any]]]:
    of_schema = st.sampled_from(FIELDS[kind]).flatmap(lambda field: st.tuples(st.just(field[0]), values(field[1])))
    return st.lists(st.sampled_from(TABLE[kind]) | of_schema, min_size=1, max_size=3, unique_by=lambda edit: edit[0])


@st.composite
def jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A whole document; edits that do not fit on one another are left out."""
    document = draw(st.sampled_from(list(SMALLEST.values())) | st.sampled_from(CASES).map(Case.document))
    kind = document["kind"]
    for path, value in draw(edits(kind)):
        try:
            document = edited(document, {path: value})
        except (KeyError, TypeError, AttributeError):
            continue
    return document
