"""What is asked: every query of the dashboard and of the alerts. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "kubetune.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
CHOSEN = {"__rate_interval": "15s", "__range": "10m"}
"""As Grafana fills them in; all other variables say All."""

MAY_BE_EMPTY = frozenset({"Writes that failed"})
"""Panels that have nothing to show when all is well. So has every alert."""


@dataclass(frozen=True)
class Question:
    where: str
    expr: str
    must_have_data: bool


@dataclass(frozen=True)
class Answer:
    question: Question
    series: int = 0
    error: str = ""

    @property
    def good(self) -> bool:
        return not self.error and (self.series > 0 or not self.question.must_have_data)


def questions() -> Iterator[Question]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield Question(panel["title"], filled_in(target["expr"]), panel["title"] not in MAY_BE_EMPTY)
    for rule in rules():
        yield Question(rule["alert"], rule["expr"], must_have_data=False)
        for number, part in enumerate(compared(rule["expr"]), 1):
            yield Question(f"{rule['alert']}, what it compares ({number})", part, must_have_data=True)


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def filled_in(expression: str) -> str:
    """With the variables as Grafana would put them."""
    return re.sub(r"\$(\w+)", lambda match: CHOSEN.get(match[1], ".*"), expression)


def compared(expression: str) -> Iterator[str]:
    """The left side of an alert's comparison with a number: without its limit it has data when all is well, but where it counts
    what goes wrong with the API server.
    """
    match = re.fullmatch(r"(.+?) (?:>|==) [\d.]+", expression)
    if match and not any(part in expression for part in ('result="error"', "kubetune_api_writes_total")):
        yield match[1]


def table(answers: list[Answer]) -> str:
    """Markdown."""
    rows = [f"| {a.question.where} | {a.error or a.series} | {'yes' if a.good else '**no**'} |" for a in answers]
    return "\n".join(["| Query of | Series | As it should be |", "|---|---|---|", *rows])
