import json
from pathlib import Path

from kubetune_trainer.contract import MANIFEST_NAME
from kubetune_trainer.plugins.saving import STATE_FILE, SavedState, Schedule, publish


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
    assert json.loads((final / STATE_FILE).read_text()) == {"step": 7, "epoch": 0, "samples_seen": 56.0, "world_size": 2}


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


def test_what_is_no_state_of_ours_is_left_alone(tmp_path: Path) -> None:
    home = tmp_path / "full_state"
    (home / "notes").mkdir(parents=True)
    save(home, 1)
    save(home, 2)
    assert names(home) == ["notes", "step_2"]


def test_when_a_save_is_due() -> None:
    schedule = Schedule(every_epoch=True, every_steps=4, every_seconds=None)
    assert [step for step in range(1, 10) if schedule.due(step, late=False, epoch_end=False)] == [4, 8]
    assert schedule.due(3, late=False, epoch_end=True)
    assert schedule.due(3, late=True, epoch_end=False)
    never = Schedule(every_epoch=False, every_steps=None, every_seconds=None)
    assert not any(never.due(step, late=False, epoch_end=end) for step in range(1, 10) for end in (True, False))


def test_lateness_counts_from_the_last_save() -> None:
    assert not Schedule(every_epoch=True, every_steps=None, every_seconds=None).late
    schedule = Schedule(every_epoch=True, every_steps=None, every_seconds=3600.0, last=0.0)
    schedule.saved()
    assert not schedule.late
    schedule.last -= 3601
    assert schedule.late
