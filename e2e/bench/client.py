"""A bare HTTP client of the API server: what measures must itself cost little."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from e2e.cluster.control_plane import LOOPBACK, ControlPlane, client_context

Manifest = dict[str, Any]
METADATA_ONLY = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
OK = 200
APPLY = "application/apply-patch+yaml"
AGAIN = (429, 500, 502, 503, 504)
"""What a full API server answers; a webhook that is not up yet is a 500."""


class Client:
    """As administrator; each thread has its own connection."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane, self._local = plane, threading.local()
        self._tls = client_context(plane.folder)

    def connection(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(LOOPBACK, self._plane.api, context=self._tls, timeout=3600)

    def send(self, method: str, path: str, body: Manifest | None = None, content: str = "application/json") -> Manifest:
        """Raises RuntimeError for an answer that is not 2xx, after having waited where the server is only busy."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self.connection()
        for _ in range(100):
            status, text = self._once(method, path, json.dumps(body) if body is not None else None, content)
            if status not in AGAIN:
                break
            time.sleep(0.2)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {text[:500]!r}")
        return dict(json.loads(text))

    def _once(self, method: str, path: str, body: str | None, content: str) -> tuple[int, bytes]:
        headers = {"Content-Type": content}
        try:
            self._local.connection.request(method, path, body, headers)
        except OSError:  # the server ends connections that were idle; closed, it connects anew
            self._local.connection.close()
            self._local.connection.request(method, path, body, headers)
        reply = self._local.connection.getresponse()
        return reply.status, reply.read()

    def send_all(self, requests: Iterable[tuple[str, str, Manifest]], threads: int = 4) -> None:
        """(method, path, body) of each, in any order. Raises what the first failure raises."""
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda request: self.send(*request), requests):
                pass

    def watch(self, path: str, told: Callable[[Manifest], None], *, metadata_only: bool = False) -> None:
        """Tells of every change, in a thread of its own, until the server ends. Returns once the watch stands."""
        connection, headers = self.connection(), {"Accept": METADATA_ONLY} if metadata_only else {}
        for _ in range(100):
            connection.request("GET", f"{path}?watch=1&timeoutSeconds=3600", headers=headers)
            reply = connection.getresponse()
            if reply.status == OK:
                threading.Thread(target=_tell, args=(reply, told), daemon=True).start()
                return
            reply.read()
            time.sleep(0.2)  # a new CRD is served a moment after it is called established
        raise RuntimeError(f"watch {path}: {reply.status}")


def _tell(reply: http.client.HTTPResponse, told: Callable[[Manifest], None]) -> None:
    with suppress(OSError, http.client.HTTPException):  # the control plane has been stopped
        while line := reply.readline():
            told(json.loads(line))
