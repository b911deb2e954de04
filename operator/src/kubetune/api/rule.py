"""What a cross-field rule is: a small function here and its twin in CEL, told by one message.

The functions look at the document as it was written, not at a parsed job, so that they can speak although something else in
it is wrong: of a value of the wrong type they say nothing, the schema does that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from kubetune.api.errors import FieldError

Document = Mapping[str, Any]
Scope = Literal["", "spec"]
T = TypeVar("T")

BOTH = ("SFTJob", "OSFTJob")


@dataclass(frozen=True)
class Finding:
    """Where a rule is broken. A message or remedy of its own replaces the rule's."""

    field: str
    value: object = None
    message: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Rule:
    """One rule. `message` and `remedy` are what the CRD says; a finding may say it more exactly."""

    name: str
    field: str
    """Path from the root of the document; the CRD reports it as the cause's field."""

    message: str
    remedy: str
    find: Callable[[Document], Iterable[Finding]]
    cel: str
    """True where the rule holds. `self` is the spec, or the resource where the scope is empty."""

    kinds: tuple[str, ...] = BOTH
    scope: Scope = "spec"
    cel_message: str | None = None
    """A CEL expression for the message, where a text or truth value helps (a number has no bounded length in CEL's estimate)."""

    def errors(self, doc: Document) -> Iterator[FieldError]:
        for each in self.find(doc):
            yield FieldError(each.field, each.value, each.message or self.message, each.remedy or self.remedy)

    @property
    def field_path(self) -> str:
        """The field relative to the scope, as x-kubernetes-validations wants it."""
        return "." + (self.field.removeprefix(f"{self.scope}.") if self.scope else self.field)


def at(doc: object, path: str) -> Any:
    """What stands at a dotted path; None where nothing does."""
    for step in path.split("."):
        if not isinstance(doc, Mapping):
            return None
        doc = doc.get(step)
    return doc


def typed(doc: Document, path: str, kind: type[T]) -> T | None:
    """What stands at that path if it is of that type (a truth value is no int), else None."""
    value = at(doc, path)
    return value if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)) else None


def text(doc: Document, path: str) -> str | None:
    return typed(doc, path, str)


def whole(doc: Document, path: str) -> int | None:
    return typed(doc, path, int)


def flag(doc: Document, path: str) -> bool | None:
    return typed(doc, path, bool)


def block(doc: Document, path: str) -> Mapping[str, Any]:
    """The map at that path; empty where there is none."""
    value = at(doc, path)
    return value if isinstance(value, Mapping) else {}


def items(doc: Document, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    """(path with index, item) of each map in the list at that path."""
    value = at(doc, path)
    listed = value if isinstance(value, list) else []
    return [(f"{path}[{index}]", item) for index, item in enumerate(listed) if isinstance(item, Mapping)]


def when(broken: bool, field: str, value: object = None, message: str | None = None) -> list[Finding]:
    """One finding if the rule is broken, else none."""
    return [Finding(field, value, message)] if broken else []
