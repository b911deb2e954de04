"""What the real nodes themselves are held to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from waiting import until

from e2e.cluster.__main__ import down, up_with_real_nodes
from e2e.cluster.nodes import cgroups

pytestmark = pytest.mark.e2e

Traces = dict[str, list[str]]


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def traces(folder: Path) -> Traces:
    """What a cluster in that folder could leave behind."""
    rules = said("iptables-save", "-t", "nat") + said("iptables-save", "-t", "filter")
    return {
        "processes": said("ps", "-eww", "-o", "args").count(str(folder)) * [str(folder)],
        "links": sorted(link["ifname"].partition("@")[0] for link in json.loads(said("ip", "-json", "link"))),
        "mounts": [line for line in Path("/proc/mounts").read_text().splitlines() if str(folder) in line],
        "cgroups": sorted(str(each) for root in cgroups.hierarchies() for each in root.glob("kt*")),
        "rules": [line for line in rules.splitlines() if line.startswith("-A")],
        "files": [str(folder)] if folder.exists() else [],
    }


def test_a_cluster_leaves_nothing_behind(tmp_path: Path):
    folder = tmp_path / "cluster"
    before = traces(folder)
    try:
        plane = up_with_real_nodes(folder, 1)
        assert "node-0" in plane.kubectl("get", "nodes", "--output=name")
        during = traces(folder)
        assert all(len(during[kind]) > len(before[kind]) for kind in ("processes", "links", "cgroups", "files")), during
    finally:
        down(folder)
    until(lambda: traces(folder) == before, "nothing is left", seconds=30, evidence=lambda: (before, traces(folder)))
