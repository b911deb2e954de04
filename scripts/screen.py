"""What stands on a terminal's screen in the end, its history included: as much of one as bash, make, pip and rich use.

A sequence that is not known is an error, so that nothing that was to be seen is lost in silence.
"""

from __future__ import annotations

import re

SEQUENCE = re.compile(
    r"\x1b\[(?P<arguments>[?0-9;]*)(?P<final>[A-Za-z])"  # control sequence
    r"|\x1b\](?P<title>[^\x07\x1b]*)(?:\x07|\x1b\\)"  # title, marks of a shell
    r"|(?P<control>[\r\n\b\t\x07])"
    r"|(?P<text>[^\x1b\x00-\x1f]+)"
)
SILENT = frozenset("mhl")
"""Colours and modes."""


class Screen:
    """Lines as wide as what is written into them: a page has no right edge."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0

    @property
    def text(self) -> str:
        return "\n".join("".join(line).rstrip() for line in self._lines)

    def feed(self, data: str) -> None:
        """Raises ValueError for a sequence that is not known."""
        position = 0
        while position < len(data):
            found = SEQUENCE.match(data, position)
            if found is None:
                raise ValueError(f"not known to this screen: {data[position : position + 20]!r}")
            self._take(found)
            position = found.end()

    def _take(self, found: re.Match[str]) -> None:
        if found["text"]:
            self._write(found["text"])
        elif found["control"]:
            self._control(found["control"])
        elif found["final"] and found["final"] not in SILENT:
            self._move(found["final"], found["arguments"])

    def _write(self, text: str) -> None:
        line = self._lines[self._row]
        line.extend(" " * (self._column - len(line)))
        line[self._column : self._column + len(text)] = text
        self._column += len(text)

    def _control(self, control: str) -> None:
        if control == "\r":
            self._column = 0
        elif control == "\n":
            self._down(1)
        elif control == "\b":
            self._column = max(0, self._column - 1)
        elif control == "\t":
            self._column += 8 - self._column % 8

    def _down(self, rows: int) -> None:
        self._row += rows
        self._lines.extend([] for _ in range(self._row + 1 - len(self._lines)))

    def _move(self, final: str, arguments: str) -> None:
        number = int(arguments) if arguments.isdigit() else 0 if final in "JK" else 1
        line = self._lines[self._row]
        match final:
            case "A":
                self._row = max(0, self._row - number)
            case "B":
                self._down(number)
            case "C":
                self._column += number
            case "D":
                self._column = max(0, self._column - number)
            case "G":
                self._column = number - 1
            case "K" if number == 0:
                del line[self._column :]
            case "K" if number == 2:
                line.clear()
            case "J" if number == 0:
                del line[self._column :]
                del self._lines[self._row + 1 :]
            case _:
                raise ValueError(f"not known to this screen: ESC [ {arguments}{final}")
