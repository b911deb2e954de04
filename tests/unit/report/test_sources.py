"""A directory is read while its run goes on, and removes what newer checkpoints replace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubetune.report import sources
from kubetune.report.sources import LOOKS, Material, read_material


class Vanishing:
    """The manifests below a directory; the first `times` it is listed, one of them goes before it is read."""

    def __init__(self, times: int) -> None:
        self.times, self.looks, self.read = times, 0, sources.seals_below

    def __call__(self, directory: Path) -> Iterator[Any]:
        self.looks += 1
        if self.looks <= self.times:
            raise FileNotFoundError(2, "No such file or directory", str(directory / "attempt-1/full_state/step_6"))
        return self.read(directory)


def test_what_goes_while_it_is_read_has_all_read_again(directory: Path, material: Material, monkeypatch: pytest.MonkeyPatch):
    seals = Vanishing(LOOKS - 1)
    monkeypatch.setattr(sources, "seals_below", seals)
    assert read_material(directory, material.job) == material
    assert seals.looks == LOOKS


def test_what_stays_unreadable_is_raised(directory: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "seals_below", Vanishing(LOOKS))
    with pytest.raises(FileNotFoundError, match="step_6"):
        read_material(directory)
