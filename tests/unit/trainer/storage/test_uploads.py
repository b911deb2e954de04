"""The order of uploads and what leaves the store again, without a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.backends.base import FoundCheckpoint
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
        self.refuse = False

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


def uploads(node: int = 0, keep: int = 1) -> tuple[Uploads, RecordingStore]:
    store = RecordingStore(Location("b", "j/attempt-1"), Path("/w/attempt-1"), StoreSettings(Path("/c")), node, 2)
    return Uploads(store, keep), store


def hf(step: int) -> FoundCheckpoint:
    return FoundCheckpoint(Path(f"/w/attempt-1/hf_{step}"), "hf", step, None)


def state(step: int) -> FoundCheckpoint:
    return FoundCheckpoint(Path(f"/w/attempt-1/state_{step}"), "full-state", step, None)


FOUND = [hf(5), state(5), hf(10), state(10), hf(15)]


def names(found: list[FoundCheckpoint]) -> list[str]:
    return [each.path.name for each in found]


def test_the_newest_first_and_what_training_goes_on_from_before_weights():
    assert names(uploads()[0].in_order(FOUND, reached_end=False)) == ["hf_15", "state_10", "hf_10", "state_5", "hf_5"]


def test_at_the_end_no_full_state_is_worth_the_time():
    assert names(uploads()[0].in_order(FOUND, reached_end=True)) == ["hf_15", "hf_10", "hf_5"]


def test_the_other_nodes_have_only_parts_of_full_states():
    assert names(uploads(node=1)[0].in_order(FOUND, reached_end=False)) == ["state_10", "state_5"]
    assert uploads(node=1)[0].in_order(FOUND, reached_end=True) == []


def test_what_is_there_and_what_is_older_than_those_kept_is_not_sent():
    several, store = uploads(keep=1)
    several.upload(state(10), object())  # type: ignore[arg-type]  # the recording store does not look at it
    assert names(several.in_order(FOUND, reached_end=False)) == ["hf_15", "hf_10", "hf_5"]
    assert store.calls == [("seal", "state_10")]


@pytest.mark.parametrize("refuse", [False, True])
def test_older_full_states_leave_the_store_once_newer_ones_are_there(caplog: pytest.LogCaptureFixture, refuse: bool):
    several, store = uploads(keep=2)
    store.refuse = refuse
    for step in (5, 10):
        several.upload(state(step), object())  # type: ignore[arg-type]  # as above
        assert several.retire() == []
    several.upload(state(15), object())  # type: ignore[arg-type]  # as above
    several.upload(hf(5), object())  # type: ignore[arg-type]  # as above
    assert [path.name for path in several.retire()] == ["state_5"]
    assert store.calls[-1] == ("remove", "state_5")
    assert ("s3://b/j/attempt-1/state_5 stays in the store" in caplog.text) is refuse
    assert several.retire() == []


def test_another_node_removes_nothing():
    several, store = uploads(node=1, keep=1)
    for step in (5, 10):
        several.upload(state(step), object())  # type: ignore[arg-type]  # as above
    assert several.retire() == []
    assert store.calls == [("share", "state_5"), ("share", "state_10")]


def test_a_failure_is_told_once(caplog: pytest.LogCaptureFixture):
    several, store = uploads()
    gone = StoreError("EndpointConnectionError", "gone", passing=True)
    for _ in range(3):
        several.failed(state(5), gone)
    several.failed(state(5), StoreError(AWAITING, "node 1", passing=True))
    assert caplog.text.count("is not uploaded yet") == 1
    store.hurry(all_saved=True)
    several.failed(state(10), StoreError("Interrupted", "as asked", passing=True))
    assert caplog.text.count("is not uploaded yet") == 1
