"""TCP connections between the nodes' launchers: one JSON object a line."""

from __future__ import annotations

import json
import socket
from typing import Any

IDLE_SECONDS, PROBE_SECONDS, PROBES = 10, 5, 4
"""A machine that vanished says nothing; its silence is noticed after 30 s. A process that died closes the connection at once."""

MAX_BYTES = 1 << 20


class Line:
    """One connection. Writing blocks (what is said is short), reading does not wait for more than has come."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PROBE_SECONDS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        self._connection, self._unread = connection, b""

    def fileno(self) -> int:
        return self._connection.fileno()

    @property
    def peer(self) -> str:
        """Its address, for people."""
        return str(self._connection.getpeername()[0]).removeprefix("::ffff:")

    def send(self, **values: Any) -> bool:
        """False: the other end is gone, which its reader notices as well."""
        try:
            self._connection.sendall(json.dumps(values).encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> list[dict[str, Any]] | None:
        """What came, once select() says that something did; None: the other end is gone, or is none of ours."""
        try:
            received = self._connection.recv(1 << 16)
        except OSError:
            return None
        *whole, self._unread = (self._unread + received).split(b"\n")
        if not received or len(self._unread) > MAX_BYTES:
            return None
        try:
            said = [json.loads(line) for line in whole]
        except ValueError:
            return None
        return said if all(isinstance(document, dict) for document in said) else None

    def close(self) -> None:
        self._connection.close()
