from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubetune.cluster import ClusterError
from kubetune.local.state import JobLockedError, StateDir, write_atomically
from kubetune.local.store import Store


def pod(name: str = "a", **metadata) -> dict:
    return {"kind": "Pod", "metadata": {"name": name, "namespace": "default", **metadata}}


def test_what_was_put_is_there_for_the_next_process(tmp_path: Path) -> None:
    stored = Store(tmp_path).put(pod(labels={"x": "1"}))
    later = Store(tmp_path)
    assert later.get("Pod", "default", "a") == stored
    assert later.version == int(stored["metadata"]["resourceVersion"])


def test_every_change_raises_the_version_and_no_change_does_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.put(pod())
    assert store.put(first) == first
    second = store.put(first | {"status": {"phase": "Running"}})
    assert int(second["metadata"]["resourceVersion"]) == int(first["metadata"]["resourceVersion"]) + 1


def test_a_stale_write_is_a_conflict(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.put(pod())
    store.put(first | {"status": {"phase": "Running"}})
    with pytest.raises(ClusterError) as refused:
        store.put(first | {"status": {"phase": "Failed"}})
    assert (refused.value.status, refused.value.retryable) == (409, True)
    assert store.get("Pod", "default", "a")["status"] == {"phase": "Running"}


def test_callers_get_copies(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(pod())["metadata"]["name"] = "changed"
    store.get("Pod", "default", "a")["metadata"]["name"] = "changed"
    store.select("Pod")[0]["metadata"]["name"] = "changed"
    assert store.get("Pod", "default", "a")["metadata"]["name"] == "a"


def test_selection_by_namespace_and_labels(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(pod("a", labels={"x": "1", "y": "2"}))
    store.put(pod("b", labels={"x": "1"}))
    store.put({"kind": "Pod", "metadata": {"name": "c", "namespace": "other", "labels": {"x": "1"}}})
    assert [p["metadata"]["name"] for p in store.select("Pod", "default", {"x": "1"})] == ["a", "b"]
    assert [p["metadata"]["name"] for p in store.select("Pod", None, {"x": "1"})] == ["a", "b", "c"]
    assert [p["metadata"]["name"] for p in store.select("Pod", "default", {"y": "2"})] == ["a"]
    assert store.select("PyTorchJob") == []


def test_deletion_removes_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(pod())
    version = store.version
    store.delete("Pod", "default", "a")
    store.delete("Pod", "default", "a")
    assert store.version == version + 1
    assert Store(tmp_path).get("Pod", "default", "a") is None


def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path) -> None:
    Store(tmp_path).put(pod())
    (tmp_path / "pod" / "default" / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is damaged .*; delete it, or use another --state-dir"):
        Store(tmp_path)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "x.json"
    write_atomically(file, json.dumps({"a": 1}))
    write_atomically(file, json.dumps({"a": 2}))
    assert json.loads(file.read_text()) == {"a": 2}
    assert [path.name for path in file.parent.iterdir()] == ["x.json"]


def test_a_state_directory_keeps_itself_out_of_git(tmp_path: Path) -> None:
    state = StateDir.create(tmp_path / "state")
    assert (state.root / ".gitignore").read_text() == "*\n"


def test_a_job_is_locked_once_and_told_by_whom(tmp_path: Path) -> None:
    import os

    state = StateDir.create(tmp_path)
    with state.lock("SFTJob", "default", "a"):
        with pytest.raises(JobLockedError, match=str(os.getpid())), state.lock("SFTJob", "default", "a"):
            pass
        with state.lock("OSFTJob", "default", "a"):  # another job
            pass
    with state.lock("SFTJob", "default", "a"):  # free again
        pass
