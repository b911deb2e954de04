"""What the real nodes themselves are held to. That the cluster of a whole run leaves nothing behind: conftest.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from traces import traces
from waiting import until

from e2e.cluster.__main__ import down, up_with_real_nodes

pytestmark = pytest.mark.e2e


def test_a_cluster_leaves_nothing_behind(tmp_path: Path):
    folder = tmp_path / "cluster"
    before = traces(folder)
    try:
        plane = up_with_real_nodes(folder, 1)
        assert "node-0" in plane.kubectl("get", "nodes", "--output=name")
        during = traces(folder)
        seen = ("processes", "links", "cgroups", "files", "stores")
        assert all(len(during[kind]) > len(before[kind]) for kind in seen), during
    finally:
        down(folder)
    until(lambda: traces(folder) == before, "nothing is left", seconds=30, evidence=lambda: (before, traces(folder)))
