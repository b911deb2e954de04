"""A long series in a few values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isfinite


def stretches(count: int, width: int) -> Iterator[tuple[int, int]]:
    """Where each of at most `width` pieces of `count` values begins and ends: of nearly the same length, none of them empty."""
    pieces = min(width, count)
    return pairwise(index * count // pieces for index in range(pieces + 1)) if pieces > 0 else iter(())


def mean(values: Sequence[float]) -> float | None:
    """Of those that are finite; divided before they are added, and kept between them, so that large ones do not overflow."""
    finite = [value for value in values if isfinite(value)]
    return min(max(finite), max(min(finite), sum(value / len(finite) for value in finite))) if finite else None
