"""Numbers onto axes: nice marks, their texts, and curves thinned to what a screen can show. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, isclose, isfinite, log10

Point = tuple[float, float]

MOST_POINTS = 800
"""Of one chart: about as many as a screen has columns."""


SLACK = 1e-9
"""Of a mark's distance: a value that is on a mark but for rounding needs no further one."""

TINY = 1e-200
"""Far above the smallest floats, of which no step of an axis can be made."""


@dataclass(frozen=True)
class Scale:
    """From `low`, at the bottom or on the left, to `high`."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """0 to 1."""
        return (value - self.low) / (self.high - self.low)


def scale(values: Sequence[float], count: int = 5, *, whole: bool = False, tight: bool = False) -> Scale:
    """With about `count` round marks. `whole`: no fractions; `tight`: the axis ends with the values, not with a mark."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if isclose(low, high, rel_tol=1e-9, abs_tol=TINY):
        half = abs(low) / 2 if abs(low) > TINY else 0.5
        low, high = low - half, high + half
    step = nice((high - low) / count)
    step = max(1.0, step) if whole else step
    inside = (ceil(low / step - SLACK), floor(high / step + SLACK))
    begin, end = inside if tight else (floor(low / step + SLACK), ceil(high / step - SLACK))
    ticks = tuple(place * step for place in range(begin, end + 1))
    return Scale(low, high, ticks) if tight else Scale(ticks[0], ticks[-1], ticks)


def nice(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below `rough`."""
    power = 10.0 ** floor(log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - SLACK))


def number(value: float) -> str:
    """Short, for an axis: 0.25, 12, 3,500, 2e-5."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.3g}"
    if abs(value) < 0.001:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return f"{value:.4g}"


def pieces(points: Sequence[tuple[float, float | None]]) -> list[list[Point]]:
    """The curve without what is not finite: there it is broken."""
    runs = groupby(points, key=lambda point: point[1] is not None and isfinite(point[1]))
    return [[(x, y) for x, y in run if y is not None] for finite, run in runs if finite]


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about `most` of them: of each stretch the lowest and the highest, so that no spike is lost; the ends stay."""
    if len(points) <= most:
        return list(points)
    size = ceil(2 * len(points) / most)
    kept = {0, len(points) - 1}
    for begin in range(0, len(points), size):
        stretch = range(begin, min(begin + size, len(points)))
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]
