import json
import logging

import pytest

from kubetune_trainer.attempt_record import RECORD_NAME, AttemptRecord, Note
from kubetune_trainer.contract import Progress


def notes(directory):
    return [Note.model_validate_json(line) for line in (directory / RECORD_NAME).read_text().splitlines()]


def test_each_stage_once_however_far_it_counts(tmp_path):
    record = AttemptRecord(tmp_path, 2)
    for stage in ("tokenising the data", "computing SVD 1 of 14", "computing SVD 2 of 14", None, "starting to train"):
        record.reached(Progress(step=0, stage=stage))
    record.reached(None)
    assert [note.stage for note in notes(tmp_path)] == ["tokenising the data", "computing SVD 1 of 14", "starting to train"]
    assert {note.attempt for note in notes(tmp_path)} == {2}


def test_what_was_asked_with_the_clock_of_the_metrics(tmp_path):
    AttemptRecord(tmp_path).asked({"algorithm": "sft", "parameters": {"num_epochs": 3}})
    (note,) = notes(tmp_path)
    assert note.asked == {"algorithm": "sft", "parameters": {"num_epochs": 3}}
    assert note.utc_offset is not None


def test_a_newer_version_s_fields_are_passed_over(tmp_path):
    AttemptRecord(tmp_path).asked({})
    line = json.loads((tmp_path / RECORD_NAME).read_text()) | {"colour": "green"}
    assert Note.model_validate(line).asked == {}


@pytest.mark.parametrize(("place", "asked"), [("missing", {}), (".", {"hook": object()})])
def test_where_it_cannot_be_written_the_training_goes_on(tmp_path, caplog, place, asked):
    with caplog.at_level(logging.WARNING):
        AttemptRecord(tmp_path / place).asked(asked)
    assert "lacks a line" in caplog.text
