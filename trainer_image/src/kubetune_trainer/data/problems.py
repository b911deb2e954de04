"""What is wrong with rows, and what is worth knowing of them: the first few told, the rest counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from kubetune_trainer.errors import DataError

FIELD = "data_path"
LONGEST_MESSAGE = 200
"""Characters of what was found in a row; the whole must fit into the 4096 bytes of a termination message."""


def refuse(path: Path, line: int | None, problem: str, remedy: str) -> NoReturn:
    """Raises the DataError about that line of the file; None: about the file."""
    where = "" if line is None else f"line {line}: "
    raise DataError(FIELD, str(path), f"{where}{problem}", remedy)


@dataclass
class Errors:
    """Bad rows: the first `shown` are kept, the others counted."""

    path: Path
    shown: int
    first: list[DataError] = field(default_factory=list)
    count: int = 0

    def add(self, error: DataError) -> None:
        self.count += 1
        if self.count <= self.shown:
            self.first.append(error)

    def raise_any(self) -> None:
        """One row: its own error. Several: one DataError that lists the first ones.

        Raises:
            DataError: there was one.

        """
        if self.count == 1:
            raise self.first[0]
        if self.count:
            told = "; ".join(f"{error.problem[:LONGEST_MESSAGE]} ({error.remedy[:LONGEST_MESSAGE]})" for error in self.first)
            more = f"; and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
            raise DataError(FIELD, str(self.path), f"has {self.count} bad rows: {told}{more}", "mend or remove these rows")


@dataclass
class Remarks:
    """What rows hold that is allowed and yet not what one would think: each text once, with its first line and its count."""

    found: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, line: int, text: str) -> None:
        first, count = self.found.get(text, (line, 0))
        self.found[text] = (first, count + 1)

    def texts(self) -> tuple[str, ...]:
        return tuple(f"{count} times, first in line {line}: {text}" for text, (line, count) in self.found.items())
