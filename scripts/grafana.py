"""Rows of panels as the JSON that Grafana imports; places and numbers follow from the order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24


@dataclass(frozen=True)
class Query:
    """What is asked, and how its series are called."""

    expr: str
    legend: str = ""
    instant: bool = False


@dataclass(frozen=True)
class Panel:
    """One picture. `width` is of 24 columns, `height` in Grafana's units of 30 pixels."""

    title: str
    kind: str
    queries: tuple[Query, ...]
    text: str
    unit: str = "short"
    width: int = 8
    height: int = 8
    defaults: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


Row = tuple[str, Sequence[Panel]]


@dataclass(frozen=True)
class Variable:
    """A choice at the top; more than one, or all."""

    name: str
    label: str
    query: str


def stat(title: str, expr: str, text: str, unit: str = "short", bad_from: float | None = None) -> Panel:
    """A number, red from `bad_from` on."""
    steps: list[dict[str, Any]] = [{"color": "text" if bad_from is None else "green", "value": None}]
    if bad_from is not None:
        steps.append({"color": "red", "value": bad_from})
    options = {"colorMode": "value", "graphMode": "none", "reduceOptions": {"calcs": ["lastNotNull"]}}
    colours = {"thresholds": {"mode": "absolute", "steps": steps}}
    return Panel(title, "stat", (Query(expr, instant=True),), text, unit, 4, 4, colours, options)


def lines(title: str, text: str, unit: str, *queries: Query, stacked: bool = False) -> Panel:
    """Values over time."""
    custom = {"fillOpacity": 40, "stacking": {"mode": "normal"}} if stacked else {"fillOpacity": 8, "lineWidth": 2}
    legend = {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}
    options = {"legend": legend, "tooltip": {"mode": "multi"}}
    return Panel(title, "timeseries", queries, text, unit, defaults={"custom": custom, "min": 0}, options=options)


def bars(title: str, text: str, *queries: Query) -> Panel:
    """Counts over time."""
    custom = {"drawStyle": "bars", "fillOpacity": 80, "stacking": {"mode": "normal"}}
    return Panel(title, "timeseries", queries, text, defaults={"custom": custom, "min": 0})


def gauges(title: str, text: str, query: Query, unit: str = "short", top: float | None = None) -> Panel:
    """A bar for each series, now."""
    options = {"orientation": "horizontal", "displayMode": "gradient", "reduceOptions": {"calcs": ["lastNotNull"]}}
    limits = {"min": 0} | ({} if top is None else {"max": top})
    return Panel(title, "bargauge", (query,), text, unit, defaults=limits, options=options)


def dashboard(uid: str, description: str, variables: Sequence[Variable], rows: Sequence[Row]) -> str:
    """The file."""
    document = {
        "uid": uid,
        "title": uid,
        "description": description,
        "tags": [uid],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [datasource(), *(choice(each) for each in variables)]},
        "annotations": {"list": []},
        "links": [],
        "panels": list(placed(rows)),
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0}


def choice(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": SOURCE,
        "definition": variable.query,
        "query": {"query": variable.query, "refId": variable.name},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
    }


def placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Row by row, from left to right."""
    number, top = 0, 0
    for title, panels in rows:
        number += 1
        place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        top, left, height = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > COLUMNS or (height and panel.height != height):
                top, left, height = top + height, 0, 0
            number += 1
            yield drawn(panel, number, {"x": left, "y": top, "w": panel.width, "h": panel.height})
            left, height = left + panel.width, panel.height
        top += height


def drawn(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults}, "overrides": []},
        "options": panel.options,
        "targets": [target(query, chr(ord("A") + index)) for index, query in enumerate(panel.queries)],
    }


def target(query: Query, letter: str) -> dict[str, Any]:
    kind = {"instant": query.instant, "range": not query.instant}
    return {"refId": letter, "datasource": SOURCE, "expr": query.expr, "legendFormat": query.legend or "__auto", **kind}
