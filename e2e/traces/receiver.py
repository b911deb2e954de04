"""A small collector on loopback: takes spans by OTLP over HTTP, as protobuf, and keeps them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATH = "/v1/traces"


@dataclass(frozen=True)
class Received:
    """A span, or an event of one, as it came over the wire. Ids are hexadecimal."""

    name: str
    start: datetime
    end: datetime
    attributes: dict[str, Any]
    trace: str = ""
    id: str = ""
    parent: str = ""  # empty: it has none
    status: str = ""  # STATUS_CODE_OK ...
    message: str = ""
    events: tuple[Received, ...] = ()
    resource: dict[str, Any] = field(default_factory=dict)


class Receiver:
    """What has arrived so far; `answer`: the HTTP status that the next requests get."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answer = 200
        self.spans: list[Received] = []
        self.headers: list[dict[str, str]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        self.headers.append(headers)
        if self.answer == 200:
            self.spans += parsed(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
        return self.answer


def parsed(body: bytes) -> Iterator[Received]:
    """The spans of one request."""
    request = ExportTraceServiceRequest.FromString(body)
    for group in request.resource_spans:
        resource = values(group.resource.attributes)
        for scope in group.scope_spans:
            yield from (received(each, resource) for each in scope.spans)


def received(span: Message, resource: dict[str, Any]) -> Received:
    return Received(
        name=span.name,
        start=moment(span.start_time_unix_nano),
        end=moment(span.end_time_unix_nano),
        attributes=values(span.attributes),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        status=Status.StatusCode.Name(span.status.code),
        message=span.status.message,
        events=tuple(
            Received(each.name, moment(each.time_unix_nano), moment(each.time_unix_nano), values(each.attributes))
            for each in span.events
        ),
        resource=resource,
    )


def values(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    """By name; of scalars alone, which is all that we send."""

    def value(of: AnyValue) -> Any:
        kind = of.WhichOneof("value")
        return getattr(of, kind) if kind else None

    return {each.key: value(each.value) for each in pairs}


def moment(nanoseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """Listens on loopback while the block lasts; 0: on any free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = made.take(body, {name.lower(): value for name, value in self.headers.items()}) if self.path == PATH else 404
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Nothing is said on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    made = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
