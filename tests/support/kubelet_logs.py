"""The kubelet's part in `kubectl logs`, for pods on a node of the test's own: what it sends, and where its connections break, is scripted."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"


@dataclass
class KubeletLogs:
    """By pod: the parts of its log, one a request. The connection breaks after a part that is marked so, else it ends."""

    parts: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    port: int = 0

    def node(self, name: str) -> dict[str, Any]:
        """Where its pods are: the API server asks this server for their logs."""
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True}}

    @property
    def status(self) -> dict[str, Any]:
        ready = {"type": "Ready", "status": "True", "reason": "Test", "message": "it answers for logs"}
        return {
            "addresses": [{"type": "InternalIP", "address": LOOPBACK}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "conditions": [ready],
        }


@contextmanager
def kubelet_logs(certificate: Path, key: Path) -> Iterator[KubeletLogs]:
    """`certificate`: for 127.0.0.1, of the authority that the API server trusts."""
    logs = KubeletLogs()
    server = ThreadingHTTPServer((LOOPBACK, 0), handler(logs))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    logs.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield logs
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler(logs: KubeletLogs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)  # /containerLogs/NAMESPACE/POD/CONTAINER
            logs.asked.append(dict(parse_qsl(url.query)))
            text, breaks = logs.parts[url.path.split("/")[3]].pop(0)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            payload = text.encode()
            self.wfile.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n" + (b"" if breaks else b"0\r\n\r\n"))
            self.wfile.flush()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
