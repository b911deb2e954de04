"""OpenTelemetry's own exporter, which says once that nothing arrives, and once that it does again.

Imported with the extra `otel` alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)


class Hearing(logging.Filter):
    """What the exporter's own logger says in a thread that listens is kept, and not logged."""

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        heard: list[str] | None = getattr(self._of_thread, "heard", None)
        if heard is not None:
            heard.append(record.getMessage())
        return heard is None

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        heard: list[str] = []
        self._of_thread.heard = heard
        try:
            yield heard
        finally:
            del self._of_thread.heard


HEARING = Hearing()
"""One for all: the first filter that holds a record back keeps it from the others."""


class Delivery(SpanExporter):
    """By OTLP over HTTP, as the OTEL_EXPORTER_OTLP_ variables say. Called from the processor's thread."""

    def __init__(self, where: str) -> None:
        """`where`: for the log."""
        self._where = where
        self._exporter = trace_exporter.OTLPSpanExporter()
        self._failing = False
        logging.getLogger(trace_exporter.__name__).addFilter(HEARING)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with HEARING.listening() as heard:
            result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            logger.warning(
                "traces do not arrive at %s, %d spans are lost: %s. Nothing else is held up; this is said once, until they do",
                self._where,
                len(spans),
                heard[0].rstrip(".") if heard else "no reason was given",
            )
        elif self._failing and not failed:
            logger.info("traces arrive again at %s", self._where)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # the library's
