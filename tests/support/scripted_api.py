"""A real HTTP server on loopback that answers as scripted and keeps what it was asked: for the error paths of the Kubernetes client."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Answer:
    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False  # close the connection without a word


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ScriptedApi:
    """The answers are given in order; one more request than answers is a failure of the test."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        self.url = ""


def status(code: int, message: str, **headers: str) -> Answer:
    """As an API server refuses."""
    return Answer(code, {"kind": "Status", "status": "Failure", "message": message, "code": code}, headers)


@contextmanager
def serve(*answers: Answer) -> Iterator[ScriptedApi]:
    api = ScriptedApi(list(answers))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(api))
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler(api: ScriptedApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            url = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            body = json.loads(text) if text else None
            api.asked.append(Asked(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers), body))
            answer = api.answers.pop(0) if api.answers else status(599, "the script has no more answers")
            if answer.hang_up:
                self.close_connection = True
                return
            payload = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(payload)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PATCH = do_POST = do_DELETE = _answer  # noqa: N815 - the names that http.server asks for

        def log_message(self, *_: object) -> None:
            """Silent."""

    return Handler
