"""Logs as text for people or as JSON, one object a line, with the job, attempt and reason that a line is about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

import kopf

FIELDS = ("job", "attempt", "reason")
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


@contextmanager
def about(**fields: object) -> Iterator[None]:
    """Every line logged inside is about that job and attempt."""
    token = _about.set(fields)
    try:
        yield
    finally:
        _about.reset(token)


class JsonFormatter(logging.Formatter):
    """time (RFC 3339), level, logger, message; job (`Kind namespace/name`), attempt, reason where known; error: the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        known = {**_about.get(), **{name: getattr(record, name) for name in FIELDS if hasattr(record, name)}}
        said |= {name: known[name] for name in FIELDS if known.get(name)}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)


def configure(log_format: Literal["text", "json"], *, verbose: bool) -> None:
    """The root logger's one handler, on standard error."""
    kopf.configure(verbose=verbose)  # its levels; our format
    formatter = JsonFormatter() if log_format == "json" else logging.Formatter(TEXT)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
