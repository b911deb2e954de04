"""A curve in one line of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isfinite

from kubetune_trainer.curve import mean, stretches

BLOCKS = "▁▂▃▄▅▆▇█"
BROKEN = "!"
"""Where no value is finite."""


def sketch(values: Iterable[float | None], width: int = 32) -> str:
    """The values from left to right, the lowest as the lowest block; more of them than `width` are averaged.

    None is left out, as if it had not been there. Where every value of a column is NaN or infinite there is an exclamation
    mark. Without a value: an empty line.
    """
    known = [value for value in values if value is not None]
    means = [mean(known[begin:end]) for begin, end in stretches(len(known), width)]
    finite = [value for value in means if value is not None]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    return "".join(BROKEN if value is None else block(value, low, high) for value in means)


def curve(losses: Sequence[float | None]) -> str:
    """The sketch, and from where to where it goes. Empty where there is none: a curve needs two points."""
    finite = [loss for loss in losses if loss is not None and isfinite(loss)]
    return f"{sketch(losses)} {finite[0]:.4g} to {finite[-1]:.4g}" if len(finite) > 1 else ""


def block(value: float, low: float, high: float) -> str:
    """A curve without a slope lies in the middle."""
    span = high / 2 - low / 2  # halves: the difference of two floats may be infinite
    place = (value / 2 - low / 2) / span if span > 0 else 0.5
    return BLOCKS[min(len(BLOCKS) - 1, int(place * len(BLOCKS)))]
