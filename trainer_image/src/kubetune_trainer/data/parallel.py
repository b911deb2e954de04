"""Work on rows in several processes, in order, with a bounded number of rows under way."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.death import die_with_parent

MOST_PROCESSES = 16
"""instructlab-training's own number (data_process_num_cpu_procs)."""

ROWS_PER_PROCESS = 2000
"""Starting a process costs about as much as tokenising this many rows."""

CHUNK = 200
AHEAD = 4
"""Chunks under way for each process."""

T = TypeVar("T")
R = TypeVar("R")


def processes_for(rows: int) -> int:
    """At least 1; no more than this process may use cores."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_PROCESSES, rows // ROWS_PER_PROCESS))


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def in_order(work: Callable[[T], R], items: Iterable[T], processes: int) -> Iterator[R]:
    """work(item) for each item, in their order. With one process here; else in children, forked, so that `work` need not be
    importable there anew (six seconds each) and the model's tokenizer is shared.

    Raises:
        TrainingError: a child was killed, for want of memory as a rule.

    """
    if processes <= 1:
        yield from map(work, items)
        return
    start = (os.getpid(),)
    with ProcessPoolExecutor(processes, get_context("fork"), _start, start) as pool:
        try:
            yield from _windowed(pool, work, items, AHEAD * processes)
        except BrokenProcessPool as error:
            message = "a process that tokenised was killed, for want of memory as a rule"
            raise TrainingError(FailureClass.HOST_OOM, message) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _windowed(pool: ProcessPoolExecutor, work: Callable[[T], R], items: Iterable[T], most: int) -> Iterator[R]:
    under_way: deque[Future[R]] = deque()
    for item in items:
        under_way.append(pool.submit(work, item))
        if len(under_way) >= most:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def _start(parent: int) -> None:
    """In the child: the parent's handlers would end the attempt, and the parent's death must end the child."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(parent)
