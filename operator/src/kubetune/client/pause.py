"""Waiting that can be called off: an asynchronous caller's cancellation reaches the thread that waits for it."""

from __future__ import annotations

import threading
from contextvars import ContextVar

OFF: ContextVar[threading.Event | None] = ContextVar("kubetune_client_off", default=None)
"""Set once nobody waits any more; None where the caller itself waits, whom Ctrl-C interrupts."""


class CalledOffError(Exception):
    """Nobody waits for the result any more."""


def pause(seconds: float) -> None:
    """Sleeps. Raises CalledOffError as soon as nobody waits any more."""
    off = OFF.get()
    if off is None:
        threading.Event().wait(seconds)
    elif off.wait(seconds):
        raise CalledOffError
