"""At most one report an interval, events at once, and no fault of it stops the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.contract import REPORT_FILE_ENV, Checkpoint, Progress, Report
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.report import INTERVAL_ENV, Throttle, file_reporter, interval_of, publish

CHECKPOINT = Checkpoint(uri="u", step=5, bytes=1, kind="hf", verified=True)


def report(step: int | None = None, **more: Any) -> Report:
    progress = None if step is None else Progress(step=step, total_steps=10)
    return Report(attempt=1, progress=progress, **more)


def test_the_interval_holds():
    throttle = Throttle(interval=10)

    assert throttle.due(report(2), 100)
    assert not throttle.due(report(3), 109.9)
    assert throttle.due(report(4), 110)
    assert not throttle.due(report(4), 200)  # nothing new


def test_first_and_last_step_at_once():
    throttle = Throttle(interval=10)

    assert throttle.due(report(), 100)
    assert throttle.due(report(1), 101)
    assert not throttle.due(report(2), 102)
    assert throttle.due(report(10), 103)
    assert not throttle.due(report(10, resumed_from="x"), 104)


def test_what_is_done_before_the_first_step_waits_its_turn():
    def doing(stage: str) -> Report:
        return Report(attempt=1, progress=Progress(step=0, stage=stage))

    throttle = Throttle(interval=10)

    assert throttle.due(doing("fetching"), 100)
    assert not throttle.due(doing("computing SVD 1 of 9"), 101)
    assert throttle.due(doing("computing SVD 8 of 9"), 110)
    assert throttle.due(report(1), 111)  # it steps
    assert not throttle.due(report(2), 112)


def test_another_set_of_checkpoints_at_once():
    throttle = Throttle(interval=10)

    assert throttle.due(report(2), 100)
    assert throttle.due(report(3, checkpoints=(CHECKPOINT,)), 101)
    assert not throttle.due(report(4, checkpoints=(CHECKPOINT,)), 102)
    assert throttle.due(report(4), 103)


def test_the_file_is_replaced_as_a_whole(tmp_path: Path):
    path = tmp_path / "report.json"
    path.write_text("earlier")
    with path.open() as before:
        publish(file_reporter({REPORT_FILE_ENV: str(path)}), report(3))
        assert before.read() == "earlier"  # another file by the same name, never a half-written one

    assert Report.model_validate_json(path.read_text()) == report(3)
    assert json.loads(path.read_text())["progress"]["totalSteps"] == 10
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_nobody_asked():
    assert file_reporter({}) is None
    publish(None, report(1))


def test_a_reporter_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    publish(file_reporter({REPORT_FILE_ENV: str(tmp_path / "none" / "report.json")}), report(1))

    assert "training goes on" in caplog.text


def test_interval():
    assert interval_of({}) == 10
    assert interval_of({INTERVAL_ENV: "0.25"}) == 0.25
    for text in ("soon", "-1", "nan", ""):
        with pytest.raises(ConfigurationError) as caught:
            interval_of({INTERVAL_ENV: text})
        assert caught.value.field == INTERVAL_ENV
