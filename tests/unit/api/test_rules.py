from __future__ import annotations

import re

import pytest

from kubetune.api.rule import Rule, at, typed
from kubetune.api.rules import RULES

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


def test_looking_into_documents():
    document = {"a": {"b": True, "c": 3, "d": "x"}, "e": [1]}
    assert at(document, "a.c") == 3
    assert at(document, "e.x") is None
    assert at(document, "a.d.x") is None
    assert typed(document, "a.b", int) is None, "a truth value is no number"
    assert typed(document, "a.c", int) == 3
