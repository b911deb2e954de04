"""Keeping text and status within bounds. Pure.

etcd refuses objects over 1.5 MiB, and every watcher gets every version: a status of ours stays under 64 KiB whatever was said.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from kubetune.api.status import JobStatus

MAX_STATUS_BYTES = 64 * 1024
MAX_OWN_BYTES = 40 * 1024
"""Of the operator's part; the rest is left to the trainer's, which grows without the operator (see contract.MAX_URI_BYTES)."""

TRAINERS_PART = ("progress", "checkpoints")
"""Written by the trainer alone."""
ATTEMPT_MESSAGE = 300
"""Bytes of an attempt's message; the last failure has it in full."""


def size(text: str) -> int:
    """Bytes in JSON as the API server stores it."""
    return json_bytes(text) - 2


def json_bytes(value: object) -> int:
    """Of Go's encoding/json, which writes < > & and U+2028/9 in six bytes each, for the sake of HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    escaped = 5 * sum(map(text.count, "<>&")) + 3 * sum(map(text.count, "\u2028\u2029"))
    return len(text.encode("utf-8", "surrogatepass")) + escaped


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


def written_part(status: JobStatus) -> dict[str, object]:
    """As it goes to the cluster."""
    return {key: value for key, value in status.to_dict().items() if key not in TRAINERS_PART}


def own_bytes(status: JobStatus) -> int:
    return json_bytes(written_part(status))


def bounded(status: JobStatus, limit: int = MAX_OWN_BYTES) -> JobStatus:
    """The status with the operator's part in less than `limit` bytes.

    First the log tail goes, then attempts' messages, then the oldest attempts, then where the last one went on from.
    The trainer's part is left alone: the API server bounds it.
    """
    oldest = [_without_oldest_attempt] * len(status.attempts)
    for shrink in (_without_log_tail, _without_attempt_messages, *oldest, _without_origin):
        if own_bytes(status) < limit:
            return status
        status = shrink(status)
    return status


def _without_log_tail(status: JobStatus) -> JobStatus:
    failure = status.failure
    return status.model_copy(update={"failure": failure.model_copy(update={"log_tail": None})}) if failure else status


def _without_attempt_messages(status: JobStatus) -> JobStatus:
    bare = tuple(attempt.model_copy(update={"message": None}) for attempt in status.attempts)
    return status.model_copy(update={"attempts": bare})


def _without_origin(status: JobStatus) -> JobStatus:
    bare = tuple(attempt.model_copy(update={"resumed_from": None}) for attempt in status.attempts)
    return status.model_copy(update={"attempts": bare})


def _without_oldest_attempt(status: JobStatus) -> JobStatus:
    """Never the last: its number is the count that all goes by."""
    return status.model_copy(update={"attempts": status.attempts[1:]}) if len(status.attempts) > 1 else status
