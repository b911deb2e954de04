"""The order of uploads and what leaves the store again, without a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.backends.base import FoundCheckpoint
from kubetune_trainer.checkpoints.keeper import Keeper, Sealed
from kubetune_trainer.checkpoints.ledger import read_ledger
from kubetune_trainer.checkpoints.manifest import Manifest
from kubetune_trainer.contract import CheckpointPolicy
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.location import Location
from kubetune_trainer.storage.output import AWAITING, OutputStore
from kubetune_trainer.storage.settings import StoreSettings
from kubetune_trainer.storage.uploads import Uploads


class RecordingStore(OutputStore):
    """Takes everything at once; `calls` tells what was done."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.calls: list[tuple[str, str]] = []
        self.refuse = self.away = self.later = False
        self.before: list[Sealed] = []

    def followed(self) -> bool:
        if self.away:
            raise StoreError("EndpointConnectionError", "gone", passing=True)
        return self.later

    def sealed(self, run: Location, *, last: bool = False) -> list[Sealed]:
        del last
        if self.away:
            raise StoreError("EndpointConnectionError", "gone", passing=True)
        return [pair for pair in self.before if self.location_of(pair[1].parent) == run]

    def seal(self, directory: Path, manifest: Any, *, last: bool = False) -> Any:
        self.calls.append(("seal, last" if last else "seal", directory.name))
        return manifest

    def share(self, directory: Path, manifest: Any, *, last: bool = False) -> None:
        del manifest, last
        self.calls.append(("share", directory.name))

    def remove(self, directory: Path) -> None:
        self.calls.append(("remove", directory.name))
        if self.refuse:
            raise StoreError("AccessDenied", "no", passing=False)


def uploads(where: Path, node: int = 0, earlier: tuple[Path, ...] = (), **policy: Any) -> tuple[Uploads, RecordingStore]:
    store = RecordingStore(Location("b", "j/attempt-2"), where / "attempt-2", StoreSettings(Path("/c")), node, 2)
    return Uploads(store, Keeper(where, 2, CheckpointPolicy(**policy)), earlier), store


def hf(step: int) -> FoundCheckpoint:
    return FoundCheckpoint(Path(f"/w/attempt-2/hf_{step}"), "hf", step, None)


def state(step: int) -> FoundCheckpoint:
    return FoundCheckpoint(Path(f"/w/attempt-2/state_{step}"), "full-state", step, None)


FOUND = [hf(5), state(5), hf(10), state(10), hf(15)]


def manifest(found: FoundCheckpoint, attempt: int = 2) -> Manifest:
    return Manifest(
        kind=found.kind, step=found.step, world_size=2, attempt=attempt, algorithm="sft", backend="b", time=datetime.now(UTC)
    )


def upload(several: Uploads, found: FoundCheckpoint) -> Path:
    """Below the run's own directory, where it is; returns its place."""
    placed = replace(found, path=several.store.local / found.path.name)
    several.upload(placed, manifest(found))
    return placed.path


def names(found: list[FoundCheckpoint]) -> list[str]:
    return [each.path.name for each in found]


def test_the_newest_first_and_what_training_goes_on_from_before_weights():
    assert names(uploads(Path("/w"))[0].in_order(FOUND, reached_end=False)) == ["hf_15", "state_10", "hf_10", "state_5", "hf_5"]


def test_at_the_end_no_full_state_is_worth_the_time():
    assert names(uploads(Path("/w"))[0].in_order(FOUND, reached_end=True)) == ["hf_15", "hf_10", "hf_5"]


def test_the_other_nodes_have_only_parts_of_full_states():
    assert names(uploads(Path("/w"), node=1)[0].in_order(FOUND, reached_end=False)) == ["state_10", "state_5"]
    assert uploads(Path("/w"), node=1)[0].in_order(FOUND, reached_end=True) == []


def test_what_is_older_than_those_kept_is_not_sent(tmp_path: Path):
    several, store = uploads(tmp_path, keep=1)
    upload(several, state(10))
    assert names(several.in_order(FOUND, reached_end=False)) == ["hf_15", "hf_10", "hf_5"]
    assert store.calls == [("seal", "state_10")]


@pytest.mark.parametrize("refuse", [False, True])
def test_older_full_states_leave_the_store_once_newer_ones_are_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, refuse: bool
):
    several, store = uploads(tmp_path, keep=2)
    store.refuse = refuse
    for step in (5, 10):
        upload(several, state(step))
        assert several.retire() == []
    upload(several, state(15))
    upload(several, hf(5))
    assert [path.name for path in several.retire() or ()] == ["state_5"]
    assert store.calls[-1] == ("remove", "state_5")
    assert ("s3://b/j/attempt-2/state_5 stays in the store" in caplog.text) is refuse
    (entry,) = read_ledger(tmp_path).of("removed")
    assert (entry.checkpoint, entry.step) == ("attempt-2/state_5", 5)
    assert ("stays in the store" in (entry.reason or "")) is refuse
    assert several.retire() == []


def test_what_earlier_attempts_left_goes_from_the_store_and_from_this_disk(tmp_path: Path):
    """The node's own full states are its ranks' to remove."""
    one = tmp_path / "attempt-1"
    several, store = uploads(tmp_path, earlier=(one,), keep=1, keep_weights=1)
    before = {each.path.name: one / each.path.name for each in (state(3), state(5), hf(5))}
    store.before = [(manifest(each, attempt=1), before[each.path.name]) for each in (state(3), state(5), hf(5))]
    before["state_5"].mkdir(parents=True)  # this attempt went on from it
    for path in (upload(several, state(6)), upload(several, state(9)), upload(several, hf(9))):
        path.mkdir(parents=True)
    assert {path.name for path in several.retire() or ()} == {"state_3", "state_5", "state_6", "hf_5"}
    assert {name for what, name in store.calls if what == "remove"} == {"state_3", "state_5", "state_6", "hf_5"}
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["hf_9", "state_6", "state_9"]
    assert several.retire() == []


def test_a_store_that_does_not_list_them_is_asked_again(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    several, store = uploads(tmp_path, earlier=(tmp_path / "attempt-1",), keep=1)
    store.before = [(manifest(state(3), attempt=1), tmp_path / "attempt-1" / "state_3")]
    store.away = True
    upload(several, state(6))
    assert several.retire() == []
    assert "what other attempts left cannot be listed, and nothing is removed" in caplog.text
    store.away = False
    assert [path.name for path in several.retire() or ()] == ["state_3"]


def test_once_a_later_attempt_has_begun_nothing_is_removed(tmp_path: Path):
    """It may be bringing what this one, whose node is lost and whose containers run on, would remove."""
    several, store = uploads(tmp_path, keep=1)
    for step in (5, 10):
        upload(several, state(step))
    store.later = True
    assert several.retire() is None
    assert store.calls == [("seal", "state_5"), ("seal", "state_10")]


def test_another_node_removes_nothing(tmp_path: Path):
    several, store = uploads(tmp_path, node=1, keep=1)
    for step in (5, 10):
        upload(several, state(step))
    assert several.retire() == []
    assert store.calls == [("share", "state_5"), ("share", "state_10")]


def test_a_failure_is_told_once(caplog: pytest.LogCaptureFixture):
    several, store = uploads(Path("/w"))
    gone = StoreError("EndpointConnectionError", "gone", passing=True)
    for _ in range(3):
        several.failed(state(5), gone)
    several.failed(state(5), StoreError(AWAITING, "node 1", passing=True))
    assert caplog.text.count("is not uploaded yet") == 1
    store.hurry(all_saved=True)
    several.failed(state(10), StoreError("Interrupted", "as asked", passing=True))
    assert caplog.text.count("is not uploaded yet") == 1
