"""What counts, what is moved aside, what goes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubetune_trainer.checkpoints.keeper import QUARANTINED, Keeper, Sealed, replaced
from kubetune_trainer.checkpoints.last_good import claim, read_pointer
from kubetune_trainer.checkpoints.ledger import read_ledger
from kubetune_trainer.checkpoints.manifest import Manifest, write_manifest
from kubetune_trainer.contract import CheckpointKind, CheckpointPolicy

HOMES = {"full-state": "full_state", "hf": "hf_format"}


def checkpoint(run: Path, step: int, kind: CheckpointKind = "full-state", *, sealed: bool = True) -> Path:
    path = run / HOMES[kind] / f"step_{step}"
    path.mkdir(parents=True)
    (path / "state.pt").write_bytes(bytes(1000))
    if sealed:
        seal(path, step, kind)
    return path


def seal(path: Path, step: int, kind: CheckpointKind) -> Manifest:
    given = Manifest(
        kind=kind, step=step, world_size=1, attempt=1, algorithm="sft", backend="b", time=datetime(2026, 1, 1, tzinfo=UTC)
    )
    return write_manifest(path, given)


def events(keeper: Keeper) -> list[tuple[str, str | None]]:
    return [(entry.event, entry.checkpoint) for entry in read_ledger(keeper.directory).entries]


def test_a_sealed_one_is_the_last_good(tmp_path: Path):
    keeper = Keeper(tmp_path, 1)
    keeper.begin()
    path = checkpoint(tmp_path / "attempt-1", 5, sealed=False)
    assert keeper.seal(path, seal(path, 5, "full-state"), 0.25)
    pointer = read_pointer(tmp_path)
    assert pointer is not None
    assert pointer.full_state is not None
    assert pointer.full_state.path == "attempt-1/full_state/step_5"
    (entry,) = read_ledger(tmp_path).entries
    assert (entry.event, entry.step, entry.bytes, entry.seconds) == ("saved", 5, 1000, 0.25)
    assert entry.manifest_sha256 == pointer.full_state.manifest_sha256


def test_one_of_an_attempt_that_was_followed_does_not_count(tmp_path: Path):
    keeper = Keeper(tmp_path, 1)
    keeper.begin()
    claim(tmp_path, 2)
    path = checkpoint(tmp_path / "attempt-1", 5, sealed=False)
    assert not keeper.seal(path, seal(path, 5, "full-state"), 0)
    assert "no longer counts" in (keeper.told[-1].reason or "")


def test_the_quarantine_is_bounded_and_told(tmp_path: Path):
    keeper = Keeper(tmp_path)
    paths = [checkpoint(tmp_path / "attempt-1", step) for step in range(1, QUARANTINED + 3)]
    asides = [keeper.quarantine(path, "state.pt is missing", kind="full-state", step=1) for path in paths]
    assert not any(path.exists() for path in paths)
    assert [aside.exists() for aside in asides] == [False, False] + [True] * QUARANTINED
    assert (asides[-1] / "state.pt").is_file()
    told = read_ledger(tmp_path).of("quarantined")
    assert len(told) == len(paths)
    assert told[0].checkpoint == "attempt-1/full_state/step_1"
    assert asides[0].name in (told[0].reason or "")


def test_another_jobs_is_left_where_it_is(tmp_path: Path):
    foreign = checkpoint(tmp_path / "other" / "attempt-1", 5)
    (tmp_path / "mine").mkdir()
    assert Keeper(tmp_path / "mine").quarantine(foreign, "is torn") == foreign
    assert foreign.is_dir()


def test_what_ended_attempts_left_half_done(tmp_path: Path):
    run = tmp_path / "attempt-1"
    whole, torn = checkpoint(run, 5), checkpoint(run, 8, sealed=False)
    torn_weights = checkpoint(run, 8, "hf", sealed=False)
    for rest in (run / ".saving" / "step_9", run / "full_state" / ".step_3.removing"):
        rest.mkdir(parents=True)
    keeper = Keeper(tmp_path, 2)
    keeper.sweep([run])
    assert whole.is_dir()
    assert not torn.exists()
    assert not torn_weights.exists()
    assert not (run / ".saving").exists()
    assert not (run / "full_state" / ".step_3.removing").exists()
    assert sorted(event for event, _ in events(keeper)) == ["quarantined", "quarantined", "removed", "removed"]


def test_on_a_full_disk_it_goes_at_once(tmp_path: Path):
    torn = checkpoint(tmp_path / "attempt-1", 8, "hf", sealed=False)
    keeper = Keeper(tmp_path)
    keeper.sweep([tmp_path / "attempt-1"], full=True)
    assert not torn.exists()
    assert events(keeper) == [("removed", "attempt-1/hf_format/step_8")]


@pytest.mark.parametrize(("keep", "left"), [(1, [6, 9]), (2, [6, 9]), (3, [5, 6, 9])])
def test_full_states_of_earlier_attempts_go_when_newer_ones_are_good(tmp_path: Path, keep: int, left: list[int]):
    """Those of the attempt itself (6 and 9) are its ranks' to remove."""
    one, two = tmp_path / "attempt-1", tmp_path / "attempt-2"
    for run, step in ((one, 3), (one, 5), (two, 6), (two, 9)):
        checkpoint(run, step)
    weights = checkpoint(one, 4, "hf")
    Keeper(tmp_path, 2, CheckpointPolicy(keep=keep)).retire([one], two)
    assert sorted(int(path.name[5:]) for path in tmp_path.glob("*/full_state/*")) == left
    assert weights.is_dir()


def test_a_state_of_an_attempt_that_was_followed_pushes_none_out_that_counts():
    """A lost node's containers run on, and may come farther than the attempt that followed."""

    def state(attempt: int, step: int) -> Sealed:
        path = Path(f"/job/attempt-{attempt}/step_{step}")
        when = datetime(2026, 1, 1, tzinfo=UTC)
        return Manifest(kind="full-state", step=step, world_size=1, attempt=attempt, algorithm="sft", backend="b", time=when), path

    earlier, own = [state(1, 5), state(1, 20)], [state(2, 8), state(2, 11)]
    assert replaced(earlier, own, CheckpointPolicy(keep=1)) == [earlier[0], own[0]]


def test_weights_are_kept_by_count_where_that_is_asked(tmp_path: Path):
    one, two = tmp_path / "attempt-1", tmp_path / "attempt-2"
    for run, step in ((one, 3), (one, 5), (two, 6)):
        checkpoint(run, step, "hf")
    unsealed = checkpoint(two, 9, "hf", sealed=False)  # still being written
    keeper = Keeper(tmp_path, 2, CheckpointPolicy(keep_weights=2))
    keeper.retire([one], two)
    assert sorted(path.name for path in tmp_path.glob("*/hf_format/*")) == ["step_5", "step_6", "step_9"]
    assert unsealed.is_dir()
    assert events(keeper) == [("removed", "attempt-1/hf_format/step_3")]
