"""The part of a document that a program writes, between two marks."""

from __future__ import annotations

from pathlib import Path


def write(file: Path, marks: tuple[str, str], text: str) -> None:
    """Raises ValueError if the file has no such marks."""
    before, begin, rest = file.read_text().partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise ValueError(f"{file} has no {marks[0]} ... {marks[1]}")
    file.write_text(f"{before}{begin}\n{text}\n{end}{after}")
