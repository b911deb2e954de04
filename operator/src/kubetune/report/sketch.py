"""A curve in one line of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite

BLOCKS = "▁▂▃▄▅▆▇█"
BROKEN = "!"
"""Where no value is finite."""


def sketch(values: Iterable[float | None], width: int = 32) -> str:
    """The values from left to right, the lowest as the lowest block; more of them than `width` are averaged.

    None is left out, as if it had not been there. Where every value of a column is NaN or infinite there is an exclamation
    mark. Without a value: an empty line.
    """
    known = [value for value in values if value is not None]
    means = [mean(column) for column in columns(known, width)]
    finite = [value for value in means if value is not None]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    return "".join(BROKEN if value is None else block(value, low, high) for value in means)


def columns(values: Sequence[float], width: int) -> list[Sequence[float]]:
    """At most `width` pieces of nearly the same length, none of them empty."""
    count = min(width, len(values))
    edges = [index * len(values) // count for index in range(count + 1)] if count > 0 else []
    return [values[begin:end] for begin, end in pairwise(edges)]


def mean(values: Sequence[float]) -> float | None:
    """Of those that are finite; divided before they are added, and kept between them, so that large ones do not overflow."""
    finite = [value for value in values if isfinite(value)]
    return min(max(finite), max(min(finite), sum(value / len(finite) for value in finite))) if finite else None


def block(value: float, low: float, high: float) -> str:
    """A curve without a slope lies in the middle."""
    span = high / 2 - low / 2  # halves: the difference of two floats may be infinite
    place = (value / 2 - low / 2) / span if span > 0 else 0.5
    return BLOCKS[min(len(BLOCKS) - 1, int(place * len(BLOCKS)))]
