"""Distributions made on the spot: modules and a dist-info with entry points, as pip would have installed them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(site: Path, name: str, entry_points: Mapping[str, Mapping[str, str]], **modules: str) -> Path:
    """Puts the distribution `name` into the directory `site`, which must be on sys.path to count; returns `site`.

    `entry_points`: group to name to "module:Class". `modules`: name to source.
    """
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    sections = ("\n".join([f"[{group}]", *(f"{k} = {v}" for k, v in entries.items())]) for group, entries in entry_points.items())
    (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n")
    for module, source in modules.items():
        (site / f"{module}.py").write_text(source)
    return site
