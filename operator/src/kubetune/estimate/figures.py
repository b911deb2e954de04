"""One figure: a range, the formula that gave it, and where that comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Basis = Literal["measured", "source", "derived", "assumed"]

BASES: dict[Basis, str] = {
    "measured": "compared with the real thing on a CPU, by a test or in the page that is named",
    "source": "read in the source that is named; not measured on a GPU",
    "derived": "worked out from the model's own layers; not measured on a GPU",
    "assumed": "a usual value; your hardware decides",
}

SUMMED = "the lines above"

Unit = Literal["bytes", "seconds", "count"]


@dataclass(frozen=True)
class Figure:
    """`low` to `high`: equal where a formula is exact."""

    what: str
    low: float
    high: float
    formula: str
    source: str
    basis: Basis
    unit: Unit = "bytes"

    def to_dict(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "low": rounded(self.low),
            "high": rounded(self.high),
            "unit": self.unit,
            "formula": self.formula,
            "source": self.source,
            "basis": self.basis,
        }


def rounded(value: float) -> int | float:
    """Whole bytes; seconds to a tenth."""
    return round(value) if value >= 10 else round(value, 1)


def exact(what: str, value: float, formula: str, source: str, basis: Basis) -> Figure:
    return Figure(what, value, value, formula, source, basis)


def total(what: str, parts: list[Figure]) -> Figure:
    """The sum of ranges, as uncertain as its parts."""
    worst = max((each.basis for each in parts), key=list(BASES).index)
    names = " + ".join(each.what for each in parts)
    return Figure(what, sum(p.low for p in parts), sum(p.high for p in parts), names, SUMMED, worst)
