"""Helm, and a control plane of its own: a chart owns what belongs to no namespace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helm import Helm

from e2e.cluster import binaries, control_plane, operators
from e2e.cluster.__main__ import down
from e2e.cluster.control_plane import ControlPlane


@pytest.fixture(scope="session")
def helm_program() -> Path:
    return binaries.path("helm")


@pytest.fixture
def helm(helm_program: Path, tmp_path: Path) -> Helm:
    """Without a cluster."""
    return Helm(helm_program, tmp_path / "helm")


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """Empty but for the training operator and two fake nodes."""
    folder = tmp_path / "plane"
    started = control_plane.up(folder)
    try:
        operators.up(started, nodes=2)
        yield started
    finally:
        down(folder)
