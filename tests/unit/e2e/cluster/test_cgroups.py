from pathlib import Path

import pytest

from e2e.cluster.nodes import cgroups


@pytest.fixture
def hierarchies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As cgroup v1 has them."""
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    for name in ("cpuset", "memory"):
        (tmp_path / name).mkdir()
    for file in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "cpuset" / file).write_text("0-1")
    return tmp_path


def test_a_node_gets_a_root_in_every_hierarchy_and_processors_to_run_on(hierarchies: Path):
    cgroups.create("kt1-node-0")
    assert (hierarchies / "memory/kt1-node-0").is_dir()
    assert (hierarchies / "cpuset/kt1-node-0/cpuset.cpus").read_text() == "0-1"


def test_removal_takes_the_pods_groups_along_and_nothing_else(hierarchies: Path):
    for name in ("kt1-node-0", "kt1-node-1"):
        (hierarchies / "memory" / name / "kubepods/pod1").mkdir(parents=True)
    cgroups.remove("kt1-node-0")
    assert [each.name for each in (hierarchies / "memory").iterdir()] == ["kt1-node-1"]


def test_of_version_two_there_is_one_hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(cgroups, "MOUNT", tmp_path)
    assert cgroups.hierarchies() == [tmp_path]
