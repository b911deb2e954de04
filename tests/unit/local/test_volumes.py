from __future__ import annotations

from pathlib import Path

import pytest

from kubetune.local.state import StateDir
from kubetune.local.volumes import bind_claim, bind_configmap, write_configmap


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir.create(tmp_path / "state")


def test_a_new_claim_is_a_directory(state: StateDir) -> None:
    assert bind_claim(state, "runs").is_dir()
    assert bind_claim(state, "runs") == state.volumes / "runs"


def test_a_claim_is_linked_and_linked_anew(state: StateDir, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
        assert (bind_claim(state, "data", tmp_path / name) / name).exists()


def test_a_claim_with_files_of_its_own_is_not_hidden(state: StateDir, tmp_path: Path) -> None:
    (bind_claim(state, "runs") / "checkpoint").touch()
    with pytest.raises(ValueError, match="already holds files"):
        bind_claim(state, "runs", tmp_path)
    assert (state.volumes / "runs" / "checkpoint").exists()


def test_a_directory_that_is_not_there(state: StateDir, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--volume data=.*no such directory; make it"):
        bind_claim(state, "data", tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"--config-map data=.*no such directory"):
        bind_configmap(state, "data", tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "../x", "a..b", "-a"])
def test_names_that_lead_out_of_the_state_directory(state: StateDir, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a claim"):
        bind_claim(state, name)
    with pytest.raises(ValueError, match="no name of a claim"):
        write_configmap(state, name, {})


def test_a_configmap_is_replaced_whole(state: StateDir) -> None:
    write_configmap(state, "data", {"a.jsonl": "1", "b.jsonl": "2"})
    write_configmap(state, "data", {"b.jsonl": "3"})
    assert {f.name: f.read_text() for f in (state.configmaps / "data").iterdir()} == {"b.jsonl": "3"}


def test_a_link_to_a_users_directory_is_never_followed_when_it_is_replaced(state: StateDir, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.jsonl").write_text("precious")
    bind_configmap(state, "data", mine)
    assert (state.configmaps / "data" / "a.jsonl").read_text() == "precious"
    write_configmap(state, "data", {"a.jsonl": "other"})
    assert (mine / "a.jsonl").read_text() == "precious"


@pytest.mark.parametrize("key", ["..", ".", "a/b", ""])
def test_keys_that_are_none(state: StateDir, key: str) -> None:
    with pytest.raises(ValueError, match="no key of a ConfigMap"):
        write_configmap(state, "data", {key: "x"})
