"""Waiting for what happens elsewhere: polled, with a deadline that no slow machine meets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1


def until(look: Callable[[], T], what: str, *, seconds: float = 180, evidence: Callable[[], object] | None = None) -> T:
    """What `look` gives once it is true; fails with `what` and the evidence after the deadline."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not seen in {seconds:.0f} s: {what}\n{evidence() if evidence else ''}")
        time.sleep(POLL_SECONDS)
    return seen
