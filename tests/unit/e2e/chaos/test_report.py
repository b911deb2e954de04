import pytest
from chaos_history import good

from e2e.chaos.judge import CHECKS
from e2e.chaos.report import BEGIN, END, table, written_into
from e2e.chaos.trail import Finding

FACTS = {
    "seed": 5, "seconds": 600, "stories": {"succeeds": 1}, "faults": {"requests": 9, "LOSE": 2}, "terms": 3, "settled": True,
    "settle_seconds": 30.0,
}  # fmt: skip


def test_the_table_says_what_was_done_and_every_verdict():
    text = table(good().history(**FACTS), [])
    assert "| seed; seconds of faults | 5; 600 |" in text
    assert "| jobs, by how they ended | Succeeded 1 |" in text
    assert "| attempts, by how they ended | CudaOOM 1, Succeeded 1 |" in text
    assert "| requests of the operator, and what they met | requests 9, LOSE 2 |" in text
    for check in CHECKS:
        assert f"| **{check}** | **0** |" in text


def test_what_was_found_is_counted_and_told():
    text = table(
        good().history(**{**FACTS, "settled": False}), [Finding("lost", "teach", "it stands"), Finding("bug in the log", "-", "x")]
    )
    assert "| **lost** | **1** |" in text
    assert "| **bug in the log** | **1** |" in text
    assert "- lost: teach: it stands" in text
    assert "**not within 30.0 s**" in text


def test_it_is_written_between_the_marks_and_nowhere_else():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert written_into(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="needs the lines"):
        written_into("a page", "new")
