"""Order, bounds and ends of the processes that tokenise."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data import parallel
from kubetune_trainer.data.parallel import chunks, in_order, processes_for
from kubetune_trainer.errors import TrainingError


def work(number: int) -> tuple[int, int]:
    return number, os.getpid()


def killed(number: int) -> None:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def handlers(number: int) -> tuple[object, object]:
    return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)


def test_one_process_is_this_one():
    assert list(in_order(work, range(5), 1)) == [(i, os.getpid()) for i in range(5)]


def test_order_is_kept_and_little_is_read_ahead():
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for i in range(200):
            taken.append(i)
            yield i

    made, ahead = [], 0
    for result in in_order(work, numbers(), 2):
        made.append(result)
        ahead = max(ahead, len(taken) - len(made))

    assert [number for number, _ in made] == list(range(200))
    assert os.getpid() not in {pid for _, pid in made}
    assert ahead <= parallel.AHEAD * 2
    assert not psutil.Process().children()


def test_a_killed_process_is_told():
    with pytest.raises(TrainingError, match="was killed") as caught:
        list(in_order(killed, range(10), 2))
    assert caught.value.failure_class is FailureClass.HOST_OOM
    assert not psutil.Process().children()


def test_the_parents_handlers_are_not_the_childrens():
    """The parent's would write an outcome."""
    assert set(in_order(handlers, range(2), 2)) == {(signal.SIG_DFL, signal.SIG_DFL)}


def test_chunks_and_processes(monkeypatch: pytest.MonkeyPatch):
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]
    monkeypatch.setattr(parallel.os, "sched_getaffinity", lambda pid: set(range(64)))
    assert [processes_for(rows) for rows in (1, 3999, 4000, 10**6)] == [1, 1, 2, 16]
