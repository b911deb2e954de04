"""How many rows repeat an earlier one, in memory that does not grow with the file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

CAPACITY = 2**20
"""Distinct rows that are remembered, about 90 bytes each. Up to as many the count is exact (but for equal 64-bit hashes)."""

SHOWN = 5


@dataclass
class Duplicates:
    """Counts repeated rows by their hash.

    When there are more distinct rows than `capacity`, every second one of the hashes is forgotten, and again each time:
    a row is then remembered if its hash ends in `level` zero bits, so that all repeats of a row are remembered or none,
    and what is counted among 1 in 2**level distinct rows tells the whole without bias (adaptive sampling, Wegman; Flajolet 1990).
    """

    capacity: int = CAPACITY
    level: int = 0
    seen: dict[int, int] = field(default_factory=dict)  # hash: how often it was repeated
    lines: list[int] = field(default_factory=list)  # the first that repeat an earlier one

    def add(self, line: int, row: bytes) -> None:
        key = int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "big")
        if key & ((1 << self.level) - 1):
            return
        if key not in self.seen:
            self.seen[key] = 0
            while len(self.seen) > self.capacity:
                self._forget_half()
            return
        self.seen[key] += 1
        if len(self.lines) < SHOWN:
            self.lines.append(line)

    def _forget_half(self) -> None:
        self.level += 1
        rest = (1 << self.level) - 1
        for key in [key for key in self.seen if key & rest]:
            del self.seen[key]

    @property
    def exact(self) -> bool:
        return self.level == 0

    @property
    def count(self) -> int:
        """Rows that repeat an earlier one; an estimate where not `exact`."""
        return sum(self.seen.values()) << self.level
