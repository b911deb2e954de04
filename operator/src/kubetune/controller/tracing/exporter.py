"""The edge: spans by OTLP over HTTP, in a thread of their own. Nothing here holds up or fails a reconcile.

OpenTelemetry is imported when the exporter is made, which is when an endpoint is set: else it costs neither time nor memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import kubetune
from kubetune.controller.reconcile import Written
from kubetune.controller.tracing.environment import endpoint, problem, shown
from kubetune.controller.tracing.span import Span
from kubetune.controller.tracing.spans import spans

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

logger = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SERVICE = "kubetune-operator"
REMEDY = "pip install 'kubetune[otel]', or an image that has it (built with TRACING=1), or unset the endpoint"


class Traces:
    """Takes what was written of jobs, and has it exported when there is time."""

    def __init__(self, where: str) -> None:
        """`where`: for the log. All else is in OpenTelemetry's variables.

        Raises ImportError without the extra, ValueError where a variable is no good.
        """
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        from kubetune.controller.tracing.delivery import Delivery

        self._resource, self._scope = resource(), InstrumentationScope("kubetune", kubetune.__version__)
        self._processor = BatchSpanProcessor(Delivery(where))

    def written(self, news: Written) -> None:
        """Returns at once: the queue is bounded, and what it has no room for is left out."""
        try:
            self.send(spans(news.observed, news.status))
        except Exception:  # a fault of ours here is no reason not to reconcile
            logger.exception("no traces of what was written of %s", news.observed.manifest["metadata"].get("name"))

    def send(self, told: Iterable[Span]) -> None:
        for span in told:
            self._processor.on_end(readable(span, self._resource, self._scope))

    def close(self, seconds: float) -> None:
        """Sends what waits, for so long at most; what is left then is lost."""
        closing = threading.Thread(target=self._processor.shutdown, name="traces-close", daemon=True)
        closing.start()
        closing.join(seconds)


def traces(environment: Mapping[str, str]) -> Traces | None:
    """None where they are off, or cannot be: then a line says why, and the operator does its work without."""
    where = endpoint(environment)
    if where is None:
        return None
    if why := problem(environment):
        logger.error("no traces: %s", why)
        return None
    try:
        made = Traces(shown(where[1]))
    except ImportError as error:
        logger.error("no traces: %s is set, but OpenTelemetry is not installed (%s); %s", where[0], error, REMEDY)  # noqa: TRY400
        return None
    except (ValueError, OSError, RuntimeError) as error:
        logger.error("no traces: an OTEL_ variable is no good: %s", error)  # noqa: TRY400 - the message says it all
        return None
    logger.info("traces of jobs go to %s (%s)", shown(where[1]), where[0])
    return made


def resource() -> Resource:
    """Who tells: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own = Resource({"service.name": SERVICE, "service.version": kubetune.__version__})
    return Resource.create({**own.attributes, **OTELResourceDetector().detect().attributes})


def readable(span: Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """As the SDK exports it, with ids that no generator drew."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    def context(span_id: int) -> SpanContext:
        return SpanContext(span.trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        span.name,
        context=context(span.span_id),
        parent=context(span.parent_id) if span.parent_id else None,
        resource=resource,
        attributes=span.attributes,
        events=[Event(event.name, event.attributes, nanoseconds(event.time)) for event in span.events],
        status=Status(StatusCode[span.status.upper()], span.message or None),
        start_time=nanoseconds(span.start),
        end_time=nanoseconds(span.end),
        instrumentation_scope=scope,
    )


def nanoseconds(moment: datetime) -> int:
    """Since 1970, exactly: a float of seconds would not keep the microseconds."""
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000
