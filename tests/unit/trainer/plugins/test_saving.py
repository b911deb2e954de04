import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.backends.common import found_checkpoints
from kubetune_trainer.checkpoints.last_good import Good, claim, move
from kubetune_trainer.contract import MANIFEST_NAME, FailureClass
from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.launch.diagnosis import classify
from kubetune_trainer.launch.evidence import STOP_FILE
from kubetune_trainer.plugins import saving
from kubetune_trainer.plugins.saving import STATE_FILE, Preempted, SavedState, Schedule, Urgency, publish, schedule_of

NONE, SAVE, SAVE_AND_END = Urgency


def save(home: Path, step: int, keep: int = 1) -> Path:
    staged = home.parent / ".saving" / "state"
    staged.mkdir(parents=True)
    (staged / "weights").write_text(str(step))
    return publish(staged, home, SavedState(step, 0, step * 8.0, 2), keep)


def names(home: Path) -> list[str]:
    return sorted(p.name for p in home.iterdir())


def test_a_state_gets_its_place_whole_and_says_what_it_holds(tmp_path: Path) -> None:
    final = save(tmp_path / "full_state", 7)
    assert final.name == "step_7"
    assert (final / "weights").read_text() == "7"
    assert json.loads((final / STATE_FILE).read_text()) == {
        "step": 7,
        "epoch": 0,
        "samples_seen": 56.0,
        "world_size": 2,
        "seconds": None,
    }


def test_the_newest_states_are_kept_by_step_not_by_name(tmp_path: Path) -> None:
    home = tmp_path / "full_state"
    for step in (8, 9, 10):
        save(home, step, keep=2)
    assert names(home) == ["step_10", "step_9"]


def test_the_last_verified_state_stays_until_a_newer_one_is_verified(tmp_path: Path) -> None:
    home = tmp_path / "full_state"
    (save(home, 1) / MANIFEST_NAME).write_text("{}")
    save(home, 2)
    two = home / "step_2"
    assert names(home) == ["step_1", "step_2"]
    save(home, 3)
    assert names(home) == ["step_1", "step_3"]
    assert not two.exists()
    (home / "step_3" / MANIFEST_NAME).write_text("{}")
    save(home, 4)
    assert names(home) == ["step_3", "step_4"]


def test_the_state_that_counts_stays_though_a_newer_one_has_its_manifest(tmp_path: Path) -> None:
    """Between the manifest and the pointer's move, the next attempt would go on from the pointer's."""
    run = tmp_path / "attempt-1"
    (save(run / "full_state", 1) / MANIFEST_NAME).write_text("{}")
    point(run, 1)
    (save(run / "full_state", 2) / MANIFEST_NAME).write_text("{}")
    save(run / "full_state", 3)
    assert names(run / "full_state") == ["step_1", "step_2", "step_3"]
    point(run, 2)
    save(run / "full_state", 4)
    assert names(run / "full_state") == ["step_2", "step_4"]


def test_an_attempt_that_was_followed_removes_nothing(tmp_path: Path) -> None:
    """A lost node's containers run on, and the attempt in its place is about to read what it goes on from."""
    run = tmp_path / "attempt-1"
    (save(run / "full_state", 1) / MANIFEST_NAME).write_text("{}")
    point(run, 1)
    claim(tmp_path, 2)
    for step in (2, 3):
        (save(run / "full_state", step) / MANIFEST_NAME).write_text("{}")
    assert names(run / "full_state") == ["step_1", "step_2", "step_3"]


def point(run: Path, step: int) -> None:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    place = f"{run.name}/full_state/step_{step}"
    assert move(run.parent, 1, Good(path=place, kind="full-state", step=step, attempt=1, time=time, manifest_sha256="0"))


def test_a_state_that_is_being_removed_is_found_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mark is still there for a moment: a manifest written into it kept it from going, and called it verified."""
    run, home = BackendRun("sft", tmp_path, tmp_path, tmp_path, {}), tmp_path / "full_state"
    seen: list[list[int]] = []

    def look(gone: Path) -> None:
        assert (gone / STATE_FILE).is_file()
        seen.append([c.step for c in found_checkpoints(run, "full_state")])

    save(home, 1)
    monkeypatch.setattr(saving, "remove", look)
    save(home, 2)
    assert seen == [[2]]


def test_a_state_that_cannot_be_removed_ends_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """NFS keeps a file that another process still reads, and so its directory."""

    def busy(path: Path) -> None:
        raise OSError(39, "Directory not empty", str(path))

    monkeypatch.setattr(saving.shutil, "rmtree", busy)
    save(tmp_path / "full_state", 1)
    save(tmp_path / "full_state", 2)
    assert names(tmp_path / "full_state") == [".step_1.removing", "step_2"]
    assert "step_1.removing cannot be removed yet: [Errno 39] Directory not empty" in capsys.readouterr().out


def test_what_is_no_state_of_ours_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "full_state"
    (home / "notes").mkdir(parents=True)
    save(home, 1)
    save(home, 2)
    assert names(home) == ["notes", "step_2"]


def test_when_a_save_is_due() -> None:
    schedule = Schedule(every_epoch=True, every_steps=4, every_seconds=None)
    assert [step for step in range(1, 10) if schedule.due(step, NONE, epoch_end=False)] == [4, 8]
    assert schedule.due(3, NONE, epoch_end=True)
    assert schedule.due(3, SAVE, epoch_end=False)
    assert schedule.due(3, SAVE_AND_END, epoch_end=False)
    never = Schedule(every_epoch=False, every_steps=None, every_seconds=None)
    assert not any(never.due(step, NONE, epoch_end=end) for step in range(1, 10) for end in (True, False))


def test_lateness_counts_from_the_last_save() -> None:
    assert Schedule(every_epoch=True, every_steps=None, every_seconds=None).urgency is NONE
    schedule = Schedule(every_epoch=True, every_steps=None, every_seconds=3600.0, last=0.0)
    schedule.saved()
    assert schedule.urgency is NONE
    schedule.last -= 3601
    assert schedule.urgency is SAVE


def test_a_node_that_was_told_to_end_saves_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG_DIR_ENV, str(tmp_path))
    when = {"every_epoch": True, "every_steps": None, "every_minutes": 1e-9}  # always late
    schedule = schedule_of(**when, on_preemption=True)
    deaf = schedule_of(**when, on_preemption=False)
    assert (schedule.urgency, deaf.urgency) == (SAVE, SAVE)
    (tmp_path / STOP_FILE).touch()
    assert (schedule.urgency, deaf.urgency) == (SAVE_AND_END, SAVE)


def test_who_ends_as_asked_is_known_by_exit_code_and_name() -> None:
    end = Preempted(7)
    assert end.code == 143
    assert classify(f"{type(end).__name__}: {end}") is FailureClass.PREEMPTED
