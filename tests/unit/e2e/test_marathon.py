"""The page of the marathon, gathered from several runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from e2e.marathon.record import Record, read_records, table, written_into

RECORD = Record(
    name="llama-tied-sft",
    steps=120,
    disturbances=("-9 at step 7", "SIGTERM at step 30", "left alone: exit code 0"),
    equal=19,
    tensors=20,
    losses_equal=False,
    won=False,
    seconds=(31.4, 80.6),
    kills="9,term",
    seed=7,
    ledger="one line",
)


def test_records_of_several_runs_come_back_in_the_order_asked_for(tmp_path: Path):
    other = replace(RECORD, name="smollm2-osft", won=True)
    for record in (RECORD, other):
        (tmp_path / record.name).mkdir()
        record.write(tmp_path)
    assert read_records(tmp_path, ["smollm2-osft", "never-run", "llama-tied-sft"]) == [other, RECORD]


def test_what_is_not_equal_is_told():
    assert table([RECORD]).splitlines()[-1] == (
        "| llama-tied-sft | 120 | -9 at step 7; SIGTERM at step 30 | 3 | 19 of 20 tensors | NO | 31 s, 81 s | 9,term, 7 |"
    )


def test_only_what_is_between_the_marks_is_replaced():
    page = written_into("before\n<!-- marathon -->\nold\n<!-- /marathon -->\nafter\n", [RECORD])
    assert page.startswith("before\n<!-- marathon -->\n| model |")
    assert page.endswith("```\none line\n```\n<!-- /marathon -->\nafter\n")
    assert "old" not in page
