"""What Grafana would ask Prometheus for each panel, and what its panels are given of the answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
WIDTH, COLUMNS, ROW, GAP = 1440, 24, 30, 8
"""Of the page and of its grid, as Grafana draws it; in pixels, but for the columns."""

RATE_SCRAPES = 4
"""$__rate_interval covers at least so many scrapes."""

ALL = ".*"
"""What the dashboard's variables stand for where nothing is chosen."""

STEPS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)
"""Seconds to which Grafana rounds the time between two points."""


@dataclass(frozen=True)
class Window:
    """The time range at the top of the dashboard, in seconds since 1970; `scrape` is the data source's scrape interval."""

    begin: int
    end: int
    scrape: int

    @property
    def seconds(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True)
class Asked:
    """One target of one panel, with all variables filled in; `step` in seconds."""

    expr: str
    begin: int
    end: int
    step: int
    instant: bool


def asked(panel: Json, target: Json, window: Window, chosen: Mapping[str, str]) -> Asked:
    """The panel's width is the number of points that it wants, unless it says another."""
    step = step_of(panel, window)
    variables = {
        "__interval": f"{step}s",
        "__rate_interval": f"{max(step + window.scrape, RATE_SCRAPES * window.scrape)}s",
        "__range": f"{window.seconds}s",
    }
    expr = re.sub(r"\$(\w+)", lambda match: variables.get(match[1]) or chosen.get(match[1], ALL), target["expr"])
    begin, end = (second // step * step for second in (window.begin, window.end))
    return Asked(expr, begin, end, step, instant=bool(target.get("instant")))


def step_of(panel: Json, window: Window) -> int:
    points = panel.get("maxDataPoints") or int(place(panel)["width"])
    return max(window.scrape, rounded(window.seconds / points))


def rounded(seconds: float) -> int:
    """The nearest of STEPS."""
    return min(STEPS, key=lambda step: abs(step - seconds))


def place(panel: Json, top: int = 0) -> Json:
    """Where the panel lies, in pixels, on a page that begins at the grid's row `top`."""
    grid = panel["gridPos"]
    column = (WIDTH - GAP * (COLUMNS - 1)) / COLUMNS
    return {
        "left": grid["x"] * (column + GAP),
        "top": (grid["y"] - top) * (ROW + GAP),
        "width": grid["w"] * column + (grid["w"] - 1) * GAP,
        "height": grid["h"] * ROW + (grid["h"] - 1) * GAP,
    }


def frames(target: Json, question: Asked, answer: list[Json]) -> Iterator[Json]:
    """A series each, of the API's result: times in milliseconds, and the name that the legend shows."""
    for series in answer:
        pairs = [series["value"]] if question.instant else series["values"]
        yield {
            "refId": target["refId"],
            "name": called(target.get("legendFormat", ""), series["metric"], question.expr),
            "labels": series["metric"],
            "interval": question.step * 1000,
            "times": [round(1000 * moment) for moment, _ in pairs],
            "values": [number(value) for _, value in pairs],
        }


def number(text: str) -> float | None:
    """JSON has no NaN and no infinity; a panel shows neither."""
    value = float(text)
    return value if abs(value) < float("inf") else None


def called(legend: str, labels: Mapping[str, str], expr: str) -> str:
    """As Grafana's data source for Prometheus names a series."""
    if legend and legend != "__auto":
        return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda match: labels.get(match[1], ""), legend)
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) or expr


def row_of(title: str, panels: list[Json], window: Window, chosen: Mapping[str, str], ask: Callable[[Asked], list[Json]]) -> Json:
    """What the page is to show of one row: its panels, each with its place and its series."""
    top = min(panel["gridPos"]["y"] for panel in panels)
    places = {panel["id"]: place(panel, top) for panel in panels}
    return {
        "title": title,
        "begin": 1000 * window.begin,
        "end": 1000 * window.end,
        "width": WIDTH + 2 * GAP,
        "height": max(each["top"] + each["height"] for each in places.values()) + GAP,
        "panels": [
            {"panel": panel, "place": places[panel["id"]], "frames": list(of_panel(panel, window, chosen, ask))} for panel in panels
        ],
    }


def of_panel(panel: Json, window: Window, chosen: Mapping[str, str], ask: Callable[[Asked], list[Json]]) -> Iterator[Json]:
    for target in panel["targets"]:
        question = asked(panel, target, window, chosen)
        yield from frames(target, question, ask(question))


def variables(dashboard: Json, chosen: Mapping[str, str]) -> list[Json]:
    """What stands at the top of the dashboard."""
    named = {"datasource": "Prometheus", **chosen}
    return [
        {"label": each["label"], "text": named.get(each["name"], "All")}
        for each in dashboard["templating"]["list"]
        if not each.get("hide")
    ]


def rows(dashboard: Json) -> Iterator[tuple[str, list[Json]]]:
    """Each row's title and panels, from top to bottom."""
    title, panels = "", list[Json]()
    for panel in [*dashboard["panels"], {"type": "row", "title": ""}]:
        if panel["type"] != "row":
            panels.append(panel)
            continue
        if panels:
            yield title, panels
        title, panels = panel["title"], []
