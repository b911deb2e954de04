"""The sessions of the documents that train, typed: one page in `make test`, the others in `make tutorials`."""

from __future__ import annotations

from pathlib import Path

import pytest
from documented import blocks, pages, type_out

TRAINING = [page for page in pages() if any(block.mark == "run: train" for block in blocks(page))]
FIRST = "docs/quick-start.md"


def typed(page: str, directory: Path) -> list[str]:
    return type_out([block for block in blocks(page) if block.mark in ("run", "run: train")], directory, 580)


@pytest.mark.train
def test_the_quick_start(tmp_path: Path) -> None:
    assert typed(FIRST, tmp_path) == []


@pytest.mark.tutorials
@pytest.mark.parametrize("page", [page for page in TRAINING if page != FIRST])
def test_a_tutorial(page: str, tmp_path: Path) -> None:
    assert typed(page, tmp_path) == []
