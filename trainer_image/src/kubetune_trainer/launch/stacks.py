"""Where each rank stands: its Python stack, left in the node's log directory on a signal, and what the kernel says of it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SIGNAL = signal.SIGRTMIN + 5
"""Free: the backends, torch and its profilers take those with names."""

PATTERN = "stacks-rank-*-pid-*.txt"
ANSWER_SECONDS = 5.0
ABLE = (psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING)
ASKED = (*ABLE, psutil.STATUS_DISK_SLEEP)
WORKER = os.path.join("kubetune_trainer", "launch", "worker.py")  # noqa: PTH118 - the end of a path, as text


@dataclass(frozen=True)
class RankStack:
    """One rank. `frames` are those of the thread that trains, the innermost first: 'file:line in function'."""

    rank: int
    node: int
    pid: int
    state: str  # as psutil names it: sleeping, running, stopped, disk-sleep, zombie; gone
    frames: list[str]


def stack_file(log_dir: Path, rank: int, pid: int) -> Path:
    return log_dir / PATTERN.replace("*", str(rank), 1).replace("*", str(pid), 1)


def answer_with_stacks(log_dir: Path, rank: int) -> None:
    """In a worker, for its whole life. Its C handler needs no interpreter lock: it answers from within a hung library, too."""
    file = stack_file(log_dir, rank, os.getpid()).open("w")
    faulthandler.register(SIGNAL, file, all_threads=True)


def leave_stacks(log_dir: Path, node: int, seconds: float = ANSWER_SECONDS) -> list[RankStack]:
    """Asks each rank of this node to write its stacks into its file; one that is stopped or gone cannot."""
    asked = {file: state_of(file) for file in sorted(log_dir.glob(PATTERN))}
    for file, state in asked.items():
        if state in ASKED:
            with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
                os.kill(pid_of(file), SIGNAL)
    wait_until_written([file for file, state in asked.items() if state in ABLE], seconds)
    ranks = [RankStack(rank_of(file), node, pid_of(file), state, frames_of(file.read_text())) for file, state in asked.items()]
    return sorted(ranks, key=lambda stack: stack.rank)


def state_of(file: Path) -> str:
    """The kernel's word on the rank's process, if it still is that process: one of ours."""
    try:
        process = psutil.Process(pid_of(file))
        ours = psutil.Process() in process.parents()
        return process.status() if ours else "gone"
    except psutil.NoSuchProcess:
        return "gone"


def rank_of(file: Path) -> int:
    return int(file.stem.split("-")[2])


def pid_of(file: Path) -> int:
    return int(file.stem.split("-")[4])


def wait_until_written(files: Sequence[Path], seconds: float) -> None:
    """Until each holds something and none grows any more."""
    deadline, before = time.monotonic() + seconds, list[int]()
    while time.monotonic() < deadline:
        sizes = [file.stat().st_size for file in files]
        if all(sizes) and sizes == before:
            return
        before = sizes
        time.sleep(0.1)


def frames_of(text: str) -> list[str]:
    """Of the thread that trains: the one that runs our worker module.

    A stack of more than 100 frames is cut, without it: then of the thread that answered.
    """
    threads = re.split(r"^(?=Current thread |Thread )", text, flags=re.MULTILINE)
    mine = [thread for thread in threads if WORKER in thread] or [thread for thread in threads if thread.startswith("Current")]
    found = re.findall(r'^  File "(.+)", line (\d+) in (.+)$', mine[-1] if mine else "", flags=re.MULTILINE)
    return [f"{file}:{line} in {function}" for file, line, function in found]
