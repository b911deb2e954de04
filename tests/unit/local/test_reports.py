from __future__ import annotations

from pathlib import Path

import pytest

from kubetune.local.reports import merge_report, read_report
from kubetune_trainer.contract import Checkpoint, Progress, Report


def checkpoint(attempt: int, step: int) -> Checkpoint:
    return Checkpoint(
        uri=f"pvc://runs/x/attempt-{attempt}/full_state/step_{step}", step=step, bytes=1, kind="full-state", verified=True
    )


def uris(status: dict) -> list[str]:
    return [c["uri"].split("/x/")[1] for c in status["checkpoints"]]


def test_progress_replaces_and_the_operators_fields_stay() -> None:
    report = Report(attempt=1, progress=Progress(step=2, total_steps=9))
    assert merge_report({"phase": "Running", "progress": {"step": 1, "loss": 3.0}}, report) == {
        "phase": "Running",
        "progress": {"step": 2, "totalSteps": 9},
    }


def test_a_report_without_progress_keeps_the_last() -> None:
    assert merge_report({"progress": {"step": 1}}, Report(attempt=2)) == {"progress": {"step": 1}}


def test_checkpoints_of_earlier_attempts_stay_and_an_attempts_own_are_replaced() -> None:
    status = merge_report({}, Report(attempt=1, checkpoints=(checkpoint(1, 5), checkpoint(1, 10))))
    status = merge_report(status, Report(attempt=2, checkpoints=()))
    assert uris(status) == ["attempt-1/full_state/step_5", "attempt-1/full_state/step_10"]
    status = merge_report(status, Report(attempt=2, checkpoints=(checkpoint(2, 15),)))
    status = merge_report(status, Report(attempt=2, checkpoints=(checkpoint(2, 20),)))  # 15 was removed by retention
    assert uris(status) == ["attempt-1/full_state/step_5", "attempt-1/full_state/step_10", "attempt-2/full_state/step_20"]


def test_the_list_is_bounded_and_the_newest_stay() -> None:
    status = merge_report({}, Report(attempt=1, checkpoints=tuple(checkpoint(1, n) for n in range(30))))
    assert len(status["checkpoints"]) == 20
    assert uris(status)[-1] == "attempt-1/full_state/step_29"


def test_no_file_is_no_report_and_nonsense_is_said_to_be(tmp_path: Path) -> None:
    assert read_report(tmp_path / "report.json") is None
    (tmp_path / "report.json").write_text('{"attempt": 1, "weather": "fine"}')
    with pytest.raises(ValueError, match="is no report of a trainer of this version"):
        read_report(tmp_path / "report.json")
