"""Charts as HTML and inline SVG. Pure.

The SVG is stretched over its box, and lines keep their width (vector-effect); all text is HTML beside it, so that it is as
readable on a narrow screen as on a wide one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from kubetune.report.scales import MOST_POINTS, Point, Scale, number, pieces, scale, thinned

SIZE = 1000  # of the SVG's own coordinates, both ways
COLOURS = 6
"""Of attempts; the seventh has the first one's again."""

Ticks = Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Curve:
    """`points`: places from 0 to 1 on the axis, with values; those that are not finite break the line."""

    attempt: int
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Mark:
    """A vertical line through a chart."""

    place: float
    kind: str  # fault, wait
    text: str


def colour(attempt: int) -> str:
    """The class of an attempt's colour."""
    return f"a{(attempt - 1) % COLOURS}"


def chart(title: str, unit: str, curves: Sequence[Curve], ticks: Ticks, marks: Iterable[Mark] = ()) -> str:
    """A figure; empty where there is nothing to draw."""
    runs = [(curve.attempt, run) for curve in curves for run in pieces(curve.points)]
    values = [y for _, run in runs for _, y in run]
    if not values:
        return ""
    up = scale(values)
    said = f"{title}: {number(values[0])} at first, {number(values[-1])} at the end, {number(min(values))} to {number(max(values))}"
    drawn = "".join(path(thinned(run, share(run, values)), up, attempt) for attempt, run in runs)
    lines = grid(up, ticks) + "".join(vertical(mark) for mark in marks)
    return (
        f'<figure class="chart"><figcaption>{escape(title)} <span>{escape(unit)}</span></figcaption>'
        f'<div class="plot"><div class="ys">{y_labels(up)}</div><div class="box">'
        f'<svg viewBox="0 0 {SIZE} {SIZE}" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">{lines}{drawn}</svg>'
        f"{x_labels(ticks)}</div></div></figure>"
    )


def share(run: Sequence[Point], values: Sequence[float]) -> int:
    """How many points of the chart's are the piece's."""
    return max(4, MOST_POINTS * len(run) // len(values))


def path(run: Sequence[Point], up: Scale, attempt: int) -> str:
    """A single point is a short line."""
    points = [(x * SIZE, (1 - up.place(y)) * SIZE) for x, y in run]
    if len(points) == 1:
        points.append((min(SIZE, points[0][0] + 4), points[0][1]))
    return f'<path class="line {colour(attempt)}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'


def grid(up: Scale, ticks: Ticks) -> str:
    across = "".join(f"M0 {(1 - up.place(tick)) * SIZE:.1f}H{SIZE}" for tick in up.ticks)
    return f'<path class="grid" d="{across}{"".join(f"M{place * SIZE:.1f} 0V{SIZE}" for place, _ in ticks)}"/>'


def vertical(mark: Mark) -> str:
    return f'<path class="{mark.kind}" d="M{mark.place * SIZE:.1f} 0V{SIZE}"><title>{escape(mark.text)}</title></path>'


def y_labels(up: Scale) -> str:
    return "".join(f'<span style="top:{percent(1 - up.place(tick))}">{number(tick)}</span>' for tick in up.ticks)


def x_labels(ticks: Ticks) -> str:
    """Every other one gives way on a narrow screen; one near the edge leans inwards."""
    return f'<div class="xs">{"".join(x_label(index, place, text) for index, (place, text) in enumerate(ticks))}</div>'


def x_label(index: int, place: float, text: str) -> str:
    lean = " first" if place < 0.04 else " last" if place > 0.96 else ""
    return f'<span class="{"odd" if index % 2 else "even"}{lean}" style="left:{percent(place)}">{escape(text)}</span>'


def apart(ticks: Ticks, least: float = 0.09) -> list[tuple[float, str]]:
    """Those whose texts do not run into the one before."""
    shown: list[tuple[float, str]] = []
    for place, text in ticks:
        if not shown or place - shown[-1][0] >= least:
            shown.append((place, text))
    return shown


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def by_step(tries: Iterable[tuple[int, Sequence[tuple[int, float | None]]]]) -> tuple[list[Curve], Ticks]:
    """Curves over the steps, one an attempt, each beginning where the one before it ended."""
    known = [(attempt, points) for attempt, points in tries if points]
    numbers = [step for _, points in known for step, _ in points]
    along = scale([float(step) for step in numbers], 6, whole=True, tight=True)
    joined = connected(known)
    curves = [Curve(attempt, [(along.place(step), value) for step, value in points]) for attempt, points in joined]
    return curves, apart([(along.place(tick), f"{tick:,.0f}") for tick in along.ticks])


def connected(
    tries: Sequence[tuple[int, Sequence[tuple[int, float | None]]]],
) -> list[tuple[int, list[tuple[int, float | None]]]]:
    """Each with the last point of the one before at its front: the curve is one, in several colours."""
    joined: list[tuple[int, list[tuple[int, float | None]]]] = []
    for attempt, points in tries:
        front = joined[-1][1][-1:] if joined and joined[-1][1][-1][0] < points[0][0] else []
        joined.append((attempt, [*front, *points]))
    return joined


def bars(title: str, rows: Sequence[tuple[str, float, str]], text: Callable[[float], str]) -> str:
    """One bar of several parts, and what each is. `rows`: name, amount, class."""
    total = sum(amount for _, amount, _ in rows)
    if total <= 0:
        return ""
    parts = "".join(f'<i class="{kind}" style="width:{percent(amount / total)}"></i>' for _, amount, kind in rows if amount > 0)
    lines = "".join(
        f'<tr><th scope="row"><i class="chip {kind}"></i>{escape(name)}</th><td>{text(amount)}</td>'
        f"<td>{100 * amount / total:.1f} %</td></tr>"
        for name, amount, kind in rows
    )
    return f'<div class="bar" role="img" aria-label="{escape(title)}">{parts}</div><table class="figures">{lines}</table>'
