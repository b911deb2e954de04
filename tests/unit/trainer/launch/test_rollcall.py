"""Real sockets on loopback; each node of a gang is a thread."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from backend_runs import free_port

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.rollcall import Member, node_name, roll_call

DEADLINE = 60.0
HOST = socket.gethostname()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def node(port: int, rank: int, nodes: int = 3, gang: str = "uid-3", seconds: float = 60) -> Torchrun:
    return Torchrun(nnodes=nodes, node_rank=rank, rdzv_id=gang, endpoint=f"127.0.0.1:{port}", join_timeout_seconds=int(seconds))


def failure(future: Future[list[Member]]) -> str:
    with pytest.raises(TrainingError) as caught:
        future.result(DEADLINE)
    assert caught.value.failure_class is FailureClass.RENDEZVOUS_TIMEOUT
    return str(caught.value)


def close(*gathered: list[Member]) -> None:
    for member in (member for members in gathered for member in members):
        member.line.close()


def test_all_nodes_meet_whoever_comes_first_and_the_masters_port_is_free_again(pool: ThreadPoolExecutor) -> None:
    port = free_port()
    early = pool.submit(roll_call, node(port, 2))
    master = pool.submit(roll_call, node(port, 0))
    late = pool.submit(roll_call, node(port, 1))
    gathered = [future.result(DEADLINE) for future in (master, late, early)]
    assert [[str(member) for member in members] for members in gathered] == [
        [f"node 1 ({HOST})", f"node 2 ({HOST})"],
        [f"node 0 ({HOST})"],
        [f"node 0 ({HOST})"],
    ]
    with socket.create_server(("", port)):  # while the lines are open: torchrun's turn
        assert gathered[0][0].line.send(still="there")
    close(*gathered)


def test_the_node_that_does_not_come_is_named_on_all_nodes_within_the_first_ones_deadline(pool: ThreadPoolExecutor) -> None:
    port, began = free_port(), time.monotonic()
    futures = [pool.submit(roll_call, node(port, 0, seconds=600)), pool.submit(roll_call, node(port, 1, seconds=2))]
    messages = {failure(future) for future in futures}
    (message,) = messages
    assert message.startswith(f"node 2 did not come to the rendezvous at 127.0.0.1:{port} within ")
    assert message.endswith(f"there were node 0, node 1 ({HOST})")
    assert time.monotonic() - began < 30  # not the master's 600 s


def test_a_missing_master_is_named_with_how_long_it_was_waited_for(pool: ThreadPoolExecutor) -> None:
    port = free_port()
    message = failure(pool.submit(roll_call, node(port, 1, seconds=1)))
    assert message.startswith(f"node 0 (127.0.0.1, the master) did not answer at 127.0.0.1:{port} within 1 s (last: ")
    assert "refused" in message


def test_nodes_have_the_names_that_the_training_operator_gives_them() -> None:
    run = Torchrun(nnodes=3, endpoint="teach-sft-1-master-0:23456")
    assert node_name(run, 0) == "node 0 (teach-sft-1-master-0)"
    assert node_name(run, 2) == "node 2 (teach-sft-1-worker-1)"
    assert node_name(Torchrun(nnodes=3, endpoint="10.0.0.1:23456"), 2) == "node 2"


def test_a_node_of_an_earlier_attempt_is_refused_and_the_right_one_is_still_taken(pool: ThreadPoolExecutor) -> None:
    port = free_port()
    stale = pool.submit(roll_call, node(port, 1, nodes=2, gang="uid-2", seconds=2))
    master = pool.submit(roll_call, node(port, 0, nodes=2))
    assert "is of 'uid-2', the master of 'uid-3'" in failure(stale)
    right = pool.submit(roll_call, node(port, 1, nodes=2))
    close(master.result(DEADLINE), right.result(DEADLINE))


def test_a_master_that_only_a_stale_node_comes_to_says_so(pool: ThreadPoolExecutor) -> None:
    port = free_port()
    stale = pool.submit(roll_call, node(port, 1, nodes=2, gang="uid-2", seconds=3))
    message = failure(pool.submit(roll_call, node(port, 0, nodes=2, seconds=2)))
    assert f"; refused: node 1 ({HOST}, 127.0.0.1) is of 'uid-2'" in message
    failure(stale)


def test_a_master_that_is_started_anew_finds_the_nodes_that_wait(pool: ThreadPoolExecutor) -> None:
    port = free_port()
    waiting = pool.submit(roll_call, node(port, 1, nodes=2))
    with socket.create_server(("127.0.0.1", port)) as first:  # a master that dies with a node on its line
        connection, _ = first.accept()
        assert json.loads(connection.recv(4096))["node"] == 1
        connection.close()
    close(roll_call(node(port, 0, nodes=2)), waiting.result(DEADLINE))


def test_strangers_on_the_port_do_not_disturb(pool: ThreadPoolExecutor) -> None:
    port = free_port()
    master = pool.submit(roll_call, node(port, 0, nodes=2))
    strangers = []
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"gang": "uid-3", "node": 7}\n', b'{"gang": "uid-3", "node": [1]}\n'):
        strangers.append(connect(port))
        strangers[-1].sendall(words)
    silent = connect(port)
    close(roll_call(node(port, 1, nodes=2)), master.result(DEADLINE))
    for stranger in (*strangers, silent):
        stranger.close()


def connect(port: int) -> socket.socket:
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_port_in_use_is_told(pool: ThreadPoolExecutor) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(TrainingError, match=f"the rendezvous port {port} cannot be listened on: Address already in use"):
            roll_call(node(port, 0))


def test_one_node_waits_for_nobody() -> None:
    assert roll_call(Torchrun()) == []
