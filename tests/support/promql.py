"""The metrics and labels that a PromQL expression names, without a Prometheus: enough of its grammar for our own queries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<word>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<number>\d[\w.]*)|(?P<sign>[=!]~|[=!<>]=|\S)"""
)
GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
OPERATORS = frozenset({"and", "or", "unless", "offset", "bool", "atan2", "inf", "nan"}) | GROUPING


@dataclass(frozen=True)
class Matcher:
    label: str
    sign: str
    value: str


@dataclass
class Named:
    """What one expression speaks of."""

    metrics: dict[str, list[Matcher]] = field(default_factory=dict)
    """With all that their selectors match."""

    labels: set[str] = field(default_factory=set)
    """Of grouping and matching: of any of the metrics."""


def named(expression: str) -> Named:
    found, tokens = Named(), list(tokenised(expression))
    at = 0
    while at < len(tokens):
        kind, token = tokens[at]
        follower = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        if kind == "word" and token in GROUPING and follower == "(":
            end = at + [text for _, text in tokens[at:]].index(")")
            found.labels |= {text for each, text in tokens[at:end] if each == "word"} - {token}
            at = end
        elif kind == "sign" and token == "[":  # a duration
            at += [text for _, text in tokens[at:]].index("]")
        elif kind == "word" and token not in OPERATORS and follower not in ("(", *GROUPING):
            selector = list(selectors(tokens, at + 1)) if follower == "{" else []
            found.metrics.setdefault(token, []).extend(selector)
            at += 1 + [text for _, text in tokens[at + 1 :]].index("}") if follower == "{" else 0
        at += 1
    return found


def tokenised(expression: str) -> Iterator[tuple[str, str]]:
    for match in TOKEN.finditer(expression):
        yield str(match.lastgroup), match.group()


def selectors(tokens: list[tuple[str, str]], at: int) -> Iterator[Matcher]:
    """Of the braces that begin at that token."""
    while tokens[at][1] != "}":
        if tokens[at][0] == "word":
            yield Matcher(tokens[at][1], tokens[at + 1][1], tokens[at + 2][1][1:-1])
            at += 2
        at += 1
