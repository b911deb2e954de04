"""docs/scenarios.md is written from what the tests of tests/e2e saw."""

from __future__ import annotations

import re
from pathlib import Path

import scenario_records
from scenario_records import BEGIN, END, HEAD, RUN_BEGIN, RUN_END, Scenario, between, table, words

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "scenarios.md").read_text()


def test_a_row_says_what_was_lost_and_how_long_it_took():
    lost = Scenario("A node is lost", "killed", "NodeLost: gone", attempts=2, lost=3, seconds=81.6)
    waits = Scenario("No image", "none", "Starting: none", attempts=1)
    text = table([("tests/e2e/test_refusals.py::test_b", waits), ("tests/e2e/test_node_faults.py::test_a[SFTJob]", lost)])
    assert text == (
        f"{HEAD}| A node is lost | killed | NodeLost: gone | 2 | 3 | 82 | `test_node_faults.py::test_a` |\n"
        "| No image | none | Starting: none | 1 |  |  | `test_refusals.py::test_b` |\n"
    )


def test_the_page_has_a_place_for_every_file_that_tells():
    told = {file.name for file in (ROOT / "tests" / "e2e").glob("test_*.py") if "tell_scenario" in file.read_text()}
    assert told == set(scenario_records.FILES)


def test_words_are_one_bounded_line_without_the_namespace_that_a_run_draws():
    assert words("a | b\nin e2e-0123456789: c") == "a \\| b in …: c"
    assert len(words("x" * 1000)) == scenario_records.LONGEST + 2


def test_what_stands_between_the_marks_is_replaced_and_nothing_else():
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert between(page, BEGIN, END, "new\n") == f"before\n{BEGIN}new\n{END}after\n"


def test_the_page_has_both_marks_and_its_rows_name_tests_that_there_are():
    assert [PAGE.count(mark) for mark in (BEGIN, END, RUN_BEGIN, RUN_END)] == [1, 1, 1, 1]
    rows = PAGE.partition(HEAD)[2].partition(END)[0].splitlines()
    for row in rows:
        (where,) = re.findall(r"`(test_\w+\.py::\w+)` \|$", row)
        file, _, name = where.partition("::")
        assert f"def {name}(" in (ROOT / "tests" / "e2e" / file).read_text()
