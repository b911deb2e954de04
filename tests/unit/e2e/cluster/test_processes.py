import socket

import pytest

from e2e.cluster import processes


def test_ports_are_free_and_of_no_outgoing_connection():
    ports = processes.free_ports(5)
    assert len(set(ports)) == 5
    assert all(port in processes.PORTS for port in ports)


def test_a_port_on_which_somebody_listens_is_not_given(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        monkeypatch.setattr(processes, "PORTS", range(taken, taken + 1))
        with pytest.raises(RuntimeError, match="fewer than 1 ports are free"):
            processes.free_ports(1)
