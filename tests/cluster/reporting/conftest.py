"""A namespace in which jobs report."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from reporting import Lab


@pytest.fixture
def lab(kubeconfig: Path, tmp_path: Path) -> Iterator[Lab]:
    """A namespace of the test's own in which the masters' account was made, by the operator's own rights; gone at the end."""
    lab = Lab(kubeconfig, f"test-{uuid.uuid4().hex[:10]}", tmp_path)
    lab.open()
    yield lab
    lab.close()
