import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Gauge

from kubetune.controller.server import Server


@pytest.fixture
def reasons() -> dict[str, list[str]]:
    return {"faults": [], "unready": []}


@pytest.fixture
def server(reasons):
    registry = CollectorRegistry()
    Gauge("kubetune_leader", "Whether.", registry=registry).set(1)
    it = Server("127.0.0.1", 0, registry, faults=lambda: reasons["faults"], unready=lambda: reasons["unready"])
    yield it
    it.close()


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_three_pages(server, reasons):
    assert get(server, "/healthz") == (200, "ok\n")
    assert get(server, "/readyz?verbose") == (200, "ok\n")
    assert "kubetune_leader 1.0" in get(server, "/metrics")[1]
    assert get(server, "/")[0] == 404
    reasons["faults"].append("the event loop is stuck for 31 s")
    reasons["unready"] += ["one", "two"]
    assert get(server, "/healthz") == (503, "the event loop is stuck for 31 s\n")
    assert get(server, "/readyz") == (503, "one\ntwo\n")


def test_a_port_is_served_once(server):
    with pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", server.port, CollectorRegistry(), faults=list, unready=list)
