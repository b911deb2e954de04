"""/metrics, /healthz and /readyz, from a thread of its own: it answers though the event loop is stuck."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Reasons = Callable[[], Iterable[str]]
TEXT = "text/plain; charset=utf-8"


class Server:
    """Listens from the start until `close`."""

    def __init__(self, address: str, port: int, registry: CollectorRegistry, *, faults: Reasons, unready: Reasons) -> None:
        """`faults`, `unready`: what speaks against 200, one reason each. Raises OSError if the port is not free."""
        pages = {
            "/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(registry)),
            "/healthz": lambda: verdict(faults()),
            "/readyz": lambda: verdict(unready()),
        }
        self._server = ThreadingHTTPServer((address, port), handler(pages))
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def verdict(reasons: Iterable[str]) -> tuple[int, str, bytes]:
    """200 and `ok`, or 503 and the reasons, one a line."""
    said = list(reasons)
    return (503, TEXT, "\n".join([*said, ""]).encode()) if said else (200, TEXT, b"ok\n")


def handler(pages: dict[str, Callable[[], tuple[int, str, bytes]]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # of a client that says nothing

        def do_GET(self) -> None:
            page = pages.get(self.path.split("?")[0])
            status, kind, text = page() if page else (404, TEXT, b"/metrics, /healthz, /readyz\n")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server passes
            """Probes every few seconds are no news."""

    return Handler
