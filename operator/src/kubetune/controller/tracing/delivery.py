"""OpenTelemetry's own exporter, which says once that nothing arrives, and once that it does again.

Imported with the extra `otel` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

logger = logging.getLogger(__name__)


class Hearing(logging.Filter):
    """Keeps the first thing that the exporter's own logger says of an export, and lets nothing through."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = ""

    def filter(self, record: logging.LogRecord) -> bool:
        self.heard = self.heard or record.getMessage()
        return False


class Delivery(SpanExporter):
    """By OTLP over HTTP, as the OTEL_EXPORTER_OTLP_ variables say. Called from the processor's thread."""

    def __init__(self, where: str) -> None:
        """`where`: for the log."""
        self._where = where
        self._exporter = trace_exporter.OTLPSpanExporter()
        self._hearing = Hearing()
        self._failing = False
        logging.getLogger(trace_exporter.__name__).addFilter(self._hearing)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._hearing.heard = ""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            logger.warning(
                "traces do not arrive at %s, %d spans are lost: %s. Nothing else is held up; this is said once, until they do",
                self._where,
                len(spans),
                self._hearing.heard.rstrip(".") or "no reason was given",
            )
        elif self._failing and not failed:
            logger.info("traces arrive again at %s", self._where)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # the library's
        logging.getLogger(trace_exporter.__name__).removeFilter(self._hearing)
