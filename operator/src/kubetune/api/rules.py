"""The table of all cross-field rules: what pydantic's field types and the CRD's schema cannot say."""

from __future__ import annotations

from kubetune.api.errors import FieldError
from kubetune.api.rule import Document, Rule
from kubetune.api.rules_placement import PLACEMENT_RULES
from kubetune.api.rules_sources import SOURCE_RULES
from kubetune.api.rules_template import TEMPLATE_RULES, keys_are_unique
from kubetune.api.rules_training import TRAINING_RULES

RULES: tuple[Rule, ...] = (*SOURCE_RULES, *TRAINING_RULES, *PLACEMENT_RULES, *TEMPLATE_RULES)


def rules_of(kind: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if kind in rule.kinds)


def broken_rules(doc: Document) -> list[FieldError]:
    """Everything that the rules find in a document of either kind, in the table's order."""
    kind = str(doc.get("kind"))
    found = [error for rule in rules_of(kind) for error in rule.errors(doc)]
    repeated = [FieldError(each.field, each.value, str(each.message), "keep one of them") for each in keys_are_unique(doc)]
    return found + repeated
