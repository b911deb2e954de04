"""Rows of panels as the JSON that Grafana imports; places and numbers follow from the order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
NOTHING = "None in the time shown"


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
    colours: Mapping[str, str] = field(default_factory=dict)
    """By the series' name in the legend; others get the palette's."""

    points: int | None = None
    """How many a series has at most; None: one a pixel, or one a scrape."""


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


def lines(title: str, text: str, unit: str, *queries: Query, **custom: Any) -> Panel:
    """Values over time; the highest of the legend is on top."""
    style = {"fillOpacity": 8, "lineWidth": 2, **custom}
    return Panel(title, "timeseries", queries, text, unit, height=9, defaults={"custom": style, "min": 0}, options=legend("bottom"))


def steps(title: str, text: str, *queries: Query, top: float | None = None, **custom: Any) -> Panel:
    """Whole numbers over time, which jump; the axis reaches `top` at least."""
    return counting(lines(title, text, "short", *queries, lineInterpolation="stepAfter", axisSoftMax=top, **custom))


def bars(title: str, text: str, *queries: Query) -> Panel:
    """What happened between one moment and the next. Few and wide: closer than the window of a rate, each would show it again."""
    style = {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal"}, "axisSoftMax": 3}
    options = {"legend": {"displayMode": "list", "placement": "bottom", "calcs": []}, "tooltip": {"mode": "multi"}}
    return quiet(
        counting(Panel(title, "timeseries", queries, text, defaults={"custom": style, "min": 0}, options=options, points=40))
    )


def gauges(title: str, text: str, query: Query, unit: str = "short", top: float | None = None) -> Panel:
    """A bar for each series, now."""
    sizes = {"sizing": "manual", "minVizHeight": 16, "maxVizHeight": 40, "text": {"titleSize": 13, "valueSize": 14}}
    options = {
        "orientation": "horizontal",
        "displayMode": "gradient",
        "namePlacement": "top",
        "reduceOptions": {"calcs": ["lastNotNull"]},
        **sizes,
    }
    limits = {"min": 0, "color": {"mode": "fixed", "fixedColor": "blue"}} | ({} if top is None else {"max": top})
    return Panel(title, "bargauge", (query,), text, unit, height=9, defaults=limits, options=options)


def counting(panel: Panel) -> Panel:
    return replace(panel, defaults={**panel.defaults, "decimals": 0})


def quiet(panel: Panel) -> Panel:
    """One that is empty when all is well."""
    return replace(panel, defaults={**panel.defaults, "noValue": NOTHING})


def quarter(panel: Panel) -> Panel:
    return replace(panel, width=COLUMNS // 4)


def beside(panel: Panel, width: int = 16) -> Panel:
    """With the legend at its side: for many series."""
    return replace(panel, width=width, options={**panel.options, **legend("right")})


def legend(placement: str) -> dict[str, Any]:
    table = {"displayMode": "table", "placement": placement, "calcs": ["lastNotNull", "max"], "sortBy": "Last *", "sortDesc": True}
    return {"legend": table, "tooltip": {"mode": "multi", "sort": "desc"}}


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
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults}, "overrides": list(overrides(panel.colours))},
        "options": panel.options,
        "targets": [target(query, chr(ord("A") + index)) for index, query in enumerate(panel.queries)],
        **({"maxDataPoints": panel.points} if panel.points else {}),
    }


def overrides(colours: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for name, colour in colours.items():
        fixed = {"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}
        yield {"matcher": {"id": "byName", "options": name}, "properties": [fixed]}


def target(query: Query, letter: str) -> dict[str, Any]:
    kind = {"instant": query.instant, "range": not query.instant}
    return {"refId": letter, "datasource": SOURCE, "expr": query.expr, "legendFormat": query.legend or "__auto", **kind}
