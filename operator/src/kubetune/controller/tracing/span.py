"""A span as a value, and the ids by which whoever tells of a job adds to the same trace. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class SpanEvent:
    """A moment within a span."""

    name: str
    time: datetime
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """A stretch of a job's life. Told twice, it is the same: nothing in it is drawn or counted."""

    trace_id: int  # 128 bits
    span_id: int  # 64 bits
    parent_id: int | None
    name: str
    start: datetime
    end: datetime
    attributes: Attributes = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    status: Literal["unset", "ok", "error"] = "unset"
    message: str = ""
    """Of an error."""


def trace_id(uid: str) -> int:
    """The job's UID, which is 128 bits already: `kubectl get` tells where to look, and no state is kept."""
    return uuid.UUID(uid).int


def span_id(uid: str, *place: str | int) -> int:
    """The first 8 bytes of the SHA-256 of `UID/place/...`; never 0, which is no id."""
    text = "/".join(map(str, (uid, *place)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) or 1
