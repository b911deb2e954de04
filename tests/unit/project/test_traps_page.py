"""docs/traps.md has one row for each trap, in order, and each row that tells of the raw backend comes from a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trap_records import HEAD, NOT_SEEN, row
from trap_table import KEYS, TRAPS, Trap

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "traps.md").read_text()
FILES = sorted((ROOT / "tests" / "traps").glob("test_*.py"))
ROWS = [[cell.strip() for cell in line.split(" | ")] for line in PAGE.removeprefix(HEAD).splitlines()]


def marked(name: str) -> list[str]:
    """The traps that the test `file::function` of tests/traps says it shows."""
    file, _, function = name.partition("::")
    decorated = (ROOT / "tests" / "traps" / file).read_text().split(f"\ndef {function}(")[0].rpartition("\n\n\n")[2]
    return re.findall(r'@pytest\.mark\.trap\("([\w-]+)"\)', decorated)


def test_the_page_is_of_this_table() -> None:
    assert PAGE.startswith(HEAD)
    assert len(set(KEYS)) == len(KEYS)
    assert [(cells[0].strip("| "), cells[1]) for cells in ROWS] == [(str(n), trap.text) for n, trap in enumerate(TRAPS, 1)]


@pytest.mark.parametrize(("trap", "cells"), zip(TRAPS, ROWS, strict=True), ids=KEYS)
def test_each_row_names_tests_that_show_it_or_says_why_none_does(trap: Trap, cells: list[str]) -> None:
    if trap.unseen:
        assert cells[2] == f"not shown here: {trap.unseen}"
        assert [name for name in re.findall(r"`(tests/[\w./]+\.py)`", trap.unseen) if not (ROOT / name).is_file()] == []
        return
    assert [f for f in FILES if f'@pytest.mark.trap("{trap.key}")' in f.read_text()]
    if cells[2].startswith(NOT_SEEN):
        return
    assert cells[2]
    assert cells[3]
    tests = re.findall(r"`([\w.]+::\w+)`", cells[4])
    assert tests
    assert [name for name in tests if trap.key not in marked(name)] == []


def test_a_trap_that_two_tests_saw_has_one_row() -> None:
    seen = [{"test": f"tests/traps/test_x.py::test_{name}[1]", "raw": f"raw {name}", "ours": "ours"} for name in "ab"]
    assert row(3, Trap("k", "A trap"), seen) == "| 3 | A trap | raw a; raw b | ours | `test_x.py::test_a`, `test_x.py::test_b` |\n"
