"""What is told of the recorded run, against its own files; and of runs that left less."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kubetune.api import parse_status
from kubetune.report.attempts import KILLED, RUNNING, SUCCEEDED, tries_of
from kubetune.report.sources import Material, holds_a_run, read_material
from kubetune.report.story import story_of
from kubetune.report.timespent import KEPT, LOST
from kubetune_trainer.attempt_record import Note
from kubetune_trainer.checkpoints.ledger import Account, Entry

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_each_step_counts_once_as_it_was_done_last(story, logged):
    last = {line["step"]: line for number in (1, 2, 3) for line in logged[number]}
    assert [step.step for step in story.steps] == list(range(1, 61))
    assert all(step.loss == last[step.step]["loss"] for step in story.steps)
    assert all(step.learning_rate == last[step.step]["lr"] for step in story.steps)
    assert all(step.tokens_per_second == last[step.step]["tokens_per_second"] for step in story.steps)


def test_the_attempts_and_what_was_lost_of_them(story, logged):
    assert [each.number for each in story.tries] == [1, 2, 3]
    assert [len(each.logged) for each in story.tries] == [len(logged[number]) for number in (1, 2, 3)]
    again = {line["step"] for line in logged[2]}
    assert [step.step for step in story.tries[0].kept] == [line["step"] for line in logged[1] if line["step"] not in again]
    assert story.tries[0].verdict == "BackendError"
    assert story.tries[1].verdict == KILLED
    assert story.tries[2].verdict == SUCCEEDED
    assert story.tries[1].resumed_step == logged[2][0]["step"] - 1


def test_the_verdict_is_the_resource_s_or_the_last_attempt_s_own(material, story):
    alone = story_of(replace(material, job=None, status=parse_status({})))
    assert story.verdict.word == alone.verdict.word == "Succeeded"
    assert "step 60 of 60" in story.verdict.sentence
    assert "step 60 of 60" in alone.verdict.sentence
    assert alone.title == "teach"
    assert alone.spec is None


def test_faults_in_the_order_of_time(story):
    titles = [fault.title for fault in story.faults]
    assert titles == ["attempt failed: BackendError", "attempt killed", "checkpoint quarantined"]
    assert "SHA-256" in story.faults[2].text


def test_checkpoints_of_the_ledger(story, material):
    saved = material.ledger.of("saved")
    assert [fate.path for fate in story.fates] == [entry.checkpoint for entry in saved]
    assert [fate.path for fate in story.fates if fate.state == "quarantined"] == [
        e.checkpoint for e in material.ledger.of("quarantined")
    ]
    resumed = [entry.checkpoint for entry in material.ledger.of("resumed")]
    assert [fate.path for fate in story.fates if fate.resumed_by] == resumed
    assert sum(fate.last_good for fate in story.fates) == 2


def test_stages_before_the_first_step(story):
    for each in story.tries:
        assert each.stages[0].text == "fetching and checking the model and the data"
        assert each.stages[1].text == "tokenising the data"
        assert each.stages[-1].end == each.first_step_time
        assert all(before.end == after.begin for before, after in zip(each.stages, each.stages[1:], strict=False))


def test_the_time_adds_up(story):
    whole = (story.timeline.end - story.timeline.begin).total_seconds()
    assert story.spent.total == pytest.approx(whole, abs=0.01)
    assert story.spent.seconds[LOST] > 0
    assert story.spent.seconds[KEPT] > story.spent.seconds[LOST]


def test_what_is_known_of_the_run(story, directory):
    profile = json.loads((directory / "attempt-3" / "data" / "node-0" / "data-report.json").read_text())
    assert {name: story.data[name] for name in ("rows", "kept", "tokens")} == {
        name: profile[name] for name in ("rows", "kept", "tokens")
    }
    assert story.asked["parameters"]["num_epochs"] == 5
    assert story.total_steps == 60
    assert "torch" in story.versions
    assert story.spec["training"]["unfreezeRankRatio"] == 0.5


def entry(event, seconds, attempt=1, **fields):
    return Entry(time=NOW + timedelta(seconds=seconds), attempt=attempt, event=event, **fields)


def test_a_job_that_is_known_by_its_status_alone():
    attempt = {"number": 1, "pyTorchJob": "a-1", "started": NOW.isoformat(), "ended": (NOW + timedelta(minutes=2)).isoformat()}
    failure = {"class": "ImagePull", "reason": "ImagePull", "message": "no such image; name another"}
    status = {"phase": "Failed", "attempts": [attempt | {"reason": "ImagePull", "message": "no such image"}], "failure": failure}
    job = {"kind": "SFTJob", "metadata": {"name": "a", "namespace": "b"}, "spec": {}, "status": status}
    story = story_of(read_material(None, job))
    assert (story.verdict.word, story.verdict.sentence) == ("Failed: ImagePull", "no such image; name another")
    assert [fault.title for fault in story.faults] == ["attempt failed: ImagePull"]
    assert story.timeline.seconds == 120
    assert not story.steps


def test_one_that_runs_is_no_fault():
    status = {"phase": "Running", "attempts": [{"number": 1, "pyTorchJob": "a-1", "started": NOW.isoformat()}]}
    material = Material(status=parse_status(status), ledger=Account((entry("attempt", 5),)))
    (only,) = tries_of(material)
    assert (only.verdict, only.failed) == (RUNNING, False)
    assert story_of(replace(material, job={"kind": "SFTJob", "metadata": {"name": "a"}, "spec": {}})).faults == ()


def test_a_directory_whose_last_attempt_said_nothing_of_its_end():
    story = story_of(Material(ledger=Account((entry("attempt", 0), entry("saved", 9, kind="full-state", step=4, checkpoint="x")))))
    assert story.verdict.word == "Not ended"
    assert "was killed, or runs still" in story.verdict.sentence
    assert story.faults == ()


def test_nothing_at_all():
    story = story_of(Material())
    assert (story.verdict.word, story.timeline, story.spent) == ("Unknown", None, None)


def test_runs_of_the_library_that_went_on_from_one_another(tmp_path):
    """What was set aside keeps its metrics; runs before those that this one went on from are not of it."""
    entries = (
        entry("attempt", 0),
        entry("ended", 10),
        entry("attempt", 100),
        entry("attempt", 200),
        entry("resumed", 201, checkpoint="previous-2/full_state/epoch_1", step=2),
        entry("ended", 210),
    )
    (tmp_path / "kubetune-ledger.jsonl").write_text("".join(e.to_json() + "\n" for e in entries))
    for place, steps in (("previous-1", (1, 2, 3)), ("previous-2", (1, 2, 3)), (".", (3, 4))):
        (tmp_path / place).mkdir(exist_ok=True)
        lines = [json.dumps({"step": n, "loss": 1.0, "steps_per_epoch": 2, "epoch": 0}) + "\n" for n in steps]
        (tmp_path / place / "training_metrics_0.jsonl").write_text("".join(lines))
    first, second = tries_of(read_material(tmp_path))
    assert ([s.step for s in first.kept], [s.step for s in second.kept]) == ([1, 2], [3, 4])
    assert (first.verdict, second.verdict, second.resumed_step) == (KILLED, SUCCEEDED, 2)


def test_stages_of_a_run_that_never_stepped_end_with_it():
    notes = (Note(time=NOW, attempt=1, stage="tokenising the data"), Note(time=NOW, attempt=1, stage="computing SVD 3 of 14"))
    (only,) = tries_of(Material(notes=notes, ledger=Account((entry("attempt", 0), entry("ended", 7)))))
    assert [(stage.text, stage.seconds) for stage in only.stages] == [("tokenising the data", 0), ("computing SVD", 7)]


def test_what_holds_a_run(tmp_path, directory):
    assert holds_a_run(directory)
    assert not holds_a_run(directory.parent)
    assert not holds_a_run(tmp_path)
