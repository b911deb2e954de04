"""A full state and a small disk, in a process group of one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from small_disk import fill, small_disk
from torch import distributed

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.plugins import staging
from kubetune_trainer.plugins.saving import STAGE, STATE_FILE, SavedState, read_unsaved
from kubetune_trainer.plugins.staging import Place, bytes_of, save_state

STATE = SavedState(7, 1, 56.0, 1)
SIZE = 2_000_000


@pytest.fixture(autouse=True)
def group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 8 << 20) as place:
        monkeypatch.setenv(LOG_DIR_ENV, str(place))
        yield place


def write(stage: Path) -> Callable[[], Path]:
    (stage / "state").mkdir(parents=True)
    torch.save(torch.zeros(SIZE // 4), stage / "state" / "weights.pt")
    return lambda: stage / "state"


def save(disk: Path, needed: int = SIZE) -> bool:
    return save_state(Place(disk, "full_state", 1), STATE, needed, write)


def test_a_state_gets_its_place(disk: Path):
    assert save(disk)
    assert (disk / "full_state" / "step_7" / "weights.pt").stat().st_size > SIZE
    assert json.loads((disk / "full_state" / "step_7" / STATE_FILE).read_text())["seconds"] > 0
    assert not (disk / STAGE).exists()
    assert read_unsaved(disk) == []


@pytest.mark.parametrize(("needed", "says"), [(SIZE, "too little space for it"), (0, "Error")], ids=["foreseen", "found out"])
def test_without_room_it_is_told_cleared_away_and_tried_again(
    disk: Path, needed: int, says: str, capsys: pytest.CaptureFixture[str]
):
    """torch.save speaks of positions, not of space."""
    filler = fill(disk, leave=SIZE // 2)

    assert not save(disk, needed)

    assert not (disk / STAGE).exists()
    assert not (disk / "full_state").exists()
    (unsaved,) = read_unsaved(disk)
    assert (unsaved.step, unsaved.needed) == (7, needed)
    assert says in unsaved.reason
    assert "the full state of step 7 was not saved, training goes on: " in capsys.readouterr().out
    filler.unlink()
    assert save(disk, needed)


def test_one_of_several_ranks_ends_the_run(disk: Path, monkeypatch: pytest.MonkeyPatch):
    """The others wait for it within the save."""
    monkeypatch.setattr(staging, "world_size", lambda: 2)
    fill(disk, leave=SIZE // 2)
    with pytest.raises(TrainingError, match=r"the full state of step 7 could not be saved: .* needed, .* free") as caught:
        save(disk, 1000)
    assert caught.value.failure_class is FailureClass.DISK_FULL


def test_where_each_node_has_a_disk_it_needs_room_for_its_share(disk: Path, monkeypatch: pytest.MonkeyPatch):
    from kubetune_trainer.plugins import ranks

    monkeypatch.setenv(ranks.NODE_OUTPUT_ENV, "1")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(ranks, "world_size", lambda: 8)
    assert save(disk, 16 << 20)  # on four nodes: 4 MiB each
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert not save(disk, 16 << 20)


def test_another_error_is_no_full_disk(disk: Path):
    def broken(stage: Path) -> Callable[[], Path]:
        raise KeyError(stage)

    with pytest.raises(KeyError):
        save_state(Place(disk, "full_state", 1), STATE, 1, broken)


def test_what_a_rank_is_about_to_write():
    model = torch.nn.Linear(10, 10, bias=False)
    model.register_buffer("b", torch.zeros(5))
    optimizer = torch.optim.AdamW(model.parameters())
    assert bytes_of(model, optimizer) == 4 * 105
    model(torch.ones(10)).sum().backward()
    optimizer.step()
    assert bytes_of(model, optimizer) == 4 * (105 + 2 * 100 + 1)
