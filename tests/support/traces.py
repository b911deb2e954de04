"""What a cluster of real nodes could leave behind on this machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from e2e.cluster import binaries
from e2e.cluster.nodes import cgroups

BUILDING = binaries.CACHE / "images" / "storage"
"""buildah's: whoever builds an image meanwhile has mounts there."""

Traces = dict[str, list[str]]


def said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def traces(folder: Path) -> Traces:
    """Of a cluster in that folder, beside those of whatever else this machine does; the same before it and after it."""
    rules = "".join(said("iptables-save", "-t", table) for table in ("nat", "filter", "mangle"))
    mounts = Path("/proc/mounts").read_text().splitlines()
    return {
        "processes": said("ps", "-eww", "-o", "args").count(str(folder)) * [str(folder)],
        "links": sorted(link["ifname"].partition("@")[0] for link in json.loads(said("ip", "-json", "link"))),
        "mounts": [line for line in mounts if str(folder) in line or (str(binaries.CACHE) in line and str(BUILDING) not in line)],
        "network namespaces": [line for line in mounts if " nsfs " in line],
        "cgroups": sorted(str(each) for root in cgroups.hierarchies() for each in root.glob("kt*")),
        "rules": [line.partition(" [")[0] for line in rules.splitlines() if line.startswith(("-A", ":"))],  # without counters
        "files": [str(folder)] if folder.exists() else [],
        "stores": sorted(str(each) for each in (binaries.CACHE / "nodes").glob("*")),
    }
