"""Keeping text and status within bounds. Pure.

etcd refuses objects over 1.5 MiB, and every watcher gets every version: a status of ours stays under 64 KiB whatever was said.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from kubetune.api.status import JobStatus

MAX_STATUS_BYTES = 64 * 1024
ATTEMPT_MESSAGE = 300
"""Bytes of an attempt's message; the last failure has it in full."""


def size(text: str) -> int:
    """Bytes in JSON as the API server stores it (UTF-8, control characters and quotes escaped)."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - 2


def clip(text: str, limit: int) -> str:
    """The beginning of the text in at most `limit` bytes of JSON."""
    if size(text) <= limit:
        return text
    return text[: _fitting(len(text), limit - 3, lambda n: size(text[:n]))] + "..."


def clip_front(text: str, limit: int) -> str:
    """The end of the text in at most `limit` bytes of JSON: a log's root error stands last."""
    return text[len(text) - _fitting(len(text), limit, lambda n: size(text[len(text) - n :])) :]


def _fitting(upper: int, limit: int, measure: Callable[[int], int]) -> int:
    """The greatest n <= upper with measure(n) <= limit, for a measure that grows with n."""
    low = 0
    while low < upper:
        middle = (low + upper + 1) // 2
        low, upper = (middle, upper) if measure(middle) <= limit else (low, middle - 1)
    return low


def status_bytes(status: JobStatus) -> int:
    return len(json.dumps(status.to_dict(), ensure_ascii=False).encode("utf-8", "replace"))


def bounded(status: JobStatus, limit: int = MAX_STATUS_BYTES) -> JobStatus:
    """The status in less than `limit` bytes: first the log tail goes, then attempts' messages, then the oldest attempts.

    The trainer's part (progress, checkpoints) is left alone: it is bounded where it is made.
    """
    for shrink in (_without_log_tail, _without_attempt_messages, *[_without_oldest_attempt] * len(status.attempts)):
        if status_bytes(status) < limit:
            return status
        status = shrink(status)
    return status


def _without_log_tail(status: JobStatus) -> JobStatus:
    failure = status.failure
    return status.model_copy(update={"failure": failure.model_copy(update={"log_tail": None})}) if failure else status


def _without_attempt_messages(status: JobStatus) -> JobStatus:
    bare = tuple(attempt.model_copy(update={"message": None}) for attempt in status.attempts)
    return status.model_copy(update={"attempts": bare})


def _without_oldest_attempt(status: JobStatus) -> JobStatus:
    """Never the last: its number is the count that all goes by."""
    return status.model_copy(update={"attempts": status.attempts[1:]}) if len(status.attempts) > 1 else status
