from __future__ import annotations

import re

import pytest

from kubetune.api.policies import NOT_SUPPORTED
from kubetune.api.rule import Rule, at, typed
from kubetune.api.rules import RULES
from kubetune.api.spec import JobSpec
from kubetune.api.unsupported import UNSUPPORTED_RULES

by_name = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def test_names_are_unique():
    assert len({rule.name for rule in RULES}) == len(RULES)


@by_name
def test_a_rule_is_silent_on_an_empty_document(rule: Rule):
    assert list(rule.errors({})) == []


@by_name
def test_the_cel_twin_guards_what_it_reads(rule: Rule):
    """`self.a.b` fails where a is absent: each optional step that is read is asked for with has() first."""
    required = {"self.dataset", "self.output", "self.training", "self.spec", "self.metadata", "self.kind"}
    for path in re.findall(r"self(?:\.[a-z]\w*)+(?![\w(])", rule.cel):
        steps = path.split(".")
        for depth in range(2, len(steps)):
            parent = ".".join(steps[:depth])
            assert parent in required or f"has({parent})" in rule.cel, f"{parent} is read without has()"


def test_what_is_not_supported_says_so_in_its_description():
    schema = JobSpec.model_json_schema(by_alias=True)
    for rule in UNSUPPORTED_RULES:
        node = schema
        for step in rule.field.split(".")[1:]:
            node = node["properties"][step]
            target = next((each for each in [node, *node.get("anyOf", [])] if "$ref" in each), None)
            said = node.get("description", "")
            node = schema["$defs"][target["$ref"].rsplit("/", 1)[-1]] if target else node
        assert NOT_SUPPORTED in said or rule.field == "spec.resumeFrom.uri", rule.field


def test_looking_into_documents():
    document = {"a": {"b": True, "c": 3, "d": "x"}, "e": [1]}
    assert at(document, "a.c") == 3
    assert at(document, "e.x") is None
    assert at(document, "a.d.x") is None
    assert typed(document, "a.b", int) is None, "a truth value is no number"
    assert typed(document, "a.c", int) == 3
