"""What nodes tell each other, over real connections."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from waiting import until

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.gang import Gang
from kubetune_trainer.launch.lines import Line
from kubetune_trainer.launch.rollcall import Member
from kubetune_trainer.launch.stacks import RankStack

LOST = TrainingError(FailureClass.BACKEND_ERROR, "rank 0: RuntimeError: Connection closed by peer [10.0.0.2]:7")
OOM = TrainingError(FailureClass.CUDA_OOM, "rank 1: OutOfMemoryError: CUDA out of memory", log_tail="Traceback")


def connected() -> tuple[Line, Line]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    return Line(one), Line(other)


@pytest.fixture
def gang() -> Iterator[list[Gang]]:
    """A master and two nodes, each heard by a thread as in a run."""
    lines = [connected(), connected()]
    master = Gang([Member(node, f"host-{node}", here) for node, (here, _) in enumerate(lines, 1)])
    nodes = [Gang([Member(0, "host-0", there)], node) for node, (_, there) in enumerate(lines, 1)]
    over = threading.Event()

    def hear(one: Gang) -> None:
        while not over.is_set():
            one.poll(0.02)

    threads = [threading.Thread(target=hear, args=(one,)) for one in (master, *nodes)]
    for thread in threads:
        thread.start()
    yield [master, *nodes]
    over.set()
    for thread, one in zip(threads, (master, *nodes), strict=True):
        thread.join()
        one.close()


def test_a_failure_reaches_all_nodes_with_its_class_message_and_log(gang: list[Gang]) -> None:
    gang[1].tell(OOM, "host-1")
    for one in (gang[0], gang[2]):
        heard = until(lambda one=one: one.failure, "the failure")
        assert (heard.failure_class, str(heard), heard.log_tail) == (FailureClass.CUDA_OOM, f"node 1 (host-1): {OOM}", "Traceback")
    assert gang[1].failure is None


def test_a_node_that_saw_a_consequence_waits_for_the_cause(gang: list[Gang]) -> None:
    def later() -> None:
        until(lambda: gang[1].failure, "the master's consequence came first")
        gang[1].tell(OOM, "host-1")

    thread = threading.Thread(target=later)
    thread.start()
    assert gang[0].cause(LOST, "host-0").failure_class is FailureClass.CUDA_OOM
    thread.join()
    until(lambda: str(gang[2].failure).startswith("node 1 (host-1): "), "the cause takes the consequence's place")
    assert gang[0].cause(OOM, "host-0") is OOM  # one of its own needs no other's


def test_a_node_does_not_take_the_masters_consequence_for_the_last_word(gang: list[Gang]) -> None:
    def later() -> None:
        gang[0].tell(LOST, "host-0", last=False)
        until(lambda: gang[1].failure, "the master's consequence came first")
        gang[2].tell(OOM, "host-2")

    thread = threading.Thread(target=later)
    thread.start()
    assert str(gang[1].cause(LOST, "host-1")) == f"node 2 (host-2): {OOM}"
    thread.join()


def test_where_all_saw_consequences_nobody_waits_for_long(gang: list[Gang]) -> None:
    for one in gang[1:]:
        one.tell(LOST, "host")
    began = time.monotonic()
    assert gang[0].cause(LOST, "host-0") is LOST
    assert time.monotonic() - began < 10


def test_a_node_that_is_gone_without_a_word_is_lost_and_one_that_ended_is_not(gang: list[Gang]) -> None:
    gang[2].tell(None, "host-2")
    gang[2]._members[0].line._connection.shutdown(socket.SHUT_RDWR)
    gang[1]._members[0].line._connection.shutdown(socket.SHUT_RDWR)
    heard = until(lambda: gang[0].failure, "the loss")
    assert heard.failure_class is FailureClass.NODE_LOST
    assert str(heard) == "node 1 (host-1) is gone: its connection closed without a last word"


def test_the_master_gets_the_stacks_of_the_nodes_that_answer(gang: list[Gang]) -> None:
    gang[0].ask_for_stacks()
    for one in gang[1:]:
        until(lambda one=one: one.stacks_wanted, "the question")
        one.give_stacks([RankStack(one.node, one.node, 7, "sleeping", ["/a.py:1 in f"])])
        assert not one.stacks_wanted
    until(lambda: len(gang[0].stacks(0)) == 2, "the answers")
    assert gang[0].stacks(5) == [RankStack(node, node, 7, "sleeping", ["/a.py:1 in f"]) for node in (1, 2)]


def test_a_vanished_machine_is_noticed_by_keep_alive() -> None:
    here, there = connected()
    options = [socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT]
    idle, between, count = (here._connection.getsockopt(socket.IPPROTO_TCP, option) for option in options)
    assert here._connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert idle + between * count == 30
    here.close()
    there.close()


def test_alone_there_is_nobody_to_hear() -> None:
    alone = Gang()
    alone.poll(0)
    alone.tell(OOM, "host")
    assert alone.cause(LOST, "host") is LOST
    alone.close()
