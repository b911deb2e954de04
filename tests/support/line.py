"""A line to the API server that can be cut: operators at its end see what they would see if the API server were away."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from kubetune.controller.kubernetes_api import connect

LOOPBACK = "127.0.0.1"


class Line:
    """Forwards bytes from a port of its own; cut, that port refuses connections and those that were open are gone."""

    def __init__(self, host: str, port: int) -> None:
        self._beyond = (host, port)
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port = self._listener.getsockname()[1]
        self._listen()

    @classmethod
    @contextmanager
    def to(cls, kubeconfig: Path) -> Iterator[Line]:
        """To that cluster's API server."""
        url = urlsplit(connect(str(kubeconfig)).configuration.host)
        line = cls(str(url.hostname), url.port or 443)
        try:
            yield line
        finally:
            line.cut()

    def kubeconfig(self, of: Path, folder: Path) -> Path:
        """The same user by this line."""
        document = yaml.safe_load(of.read_text())
        for entry in document["clusters"]:
            entry["cluster"]["server"] = f"https://{LOOPBACK}:{self.port}"
        target = folder / "line.kubeconfig"
        target.write_text(json.dumps(document))
        return target

    def cut(self) -> None:
        close(self._listener)
        while self._open:
            close(self._open.pop())

    def mend(self) -> None:
        self._listener = socket.create_server((LOOPBACK, self.port))
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the line was cut
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(self._beyond)
                self._open |= {near, far}
                if listener.fileno() < 0:  # cut meanwhile
                    close(near)
                    close(far)
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=forward, args=(source, target), daemon=True).start()


def forward(source: socket.socket, target: socket.socket) -> None:
    """Until either end has gone; then both are closed."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    close(source)
    close(target)


def close(each: socket.socket) -> None:
    """At once, for threads that wait at it, too."""
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
