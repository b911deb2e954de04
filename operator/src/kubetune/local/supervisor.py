"""One pod's init process: starts the command, ends it on request, and takes every descendant along.

torch elastic starts its workers in sessions of their own, so neither a process group nor a session holds a pod together.
What does: this process is a child subreaper (prctl(2)), so every descendant whose parent dies becomes its child and stays
findable, whatever session it is in. It ends all of them with SIGKILL once the command has ended, as the kernel does with a
PID namespace. Its standard input is a pipe that the embedded cluster holds open: when that process dies, however it dies,
the pipe closes and the pod is killed at once. The command itself dies with the supervisor (PR_SET_PDEATHSIG).

SIGTERM is a pod's deletion: the command gets SIGTERM, and SIGKILL when the grace period is over.

    python -m kubetune.local.supervisor RECORD GRACE_SECONDS COMMAND [ARGUMENT ...]

RECORD is a JSON file: startedAt and pid at first; exitCode, reason and finishedAt are added when nothing runs any more.
"""

from __future__ import annotations

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>

START_ERROR = 128
"""The kubelet's exit code for a container whose command could not be started."""


def main() -> None:
    record, grace, *command = sys.argv[1:]
    Supervisor(Path(record), float(grace)).run(command)


class Supervisor:
    """Runs one command to its end."""

    def __init__(self, record: Path, grace: float) -> None:
        self._record, self._grace = record, grace
        self._values: dict[str, Any] = {}
        self._kill_at: float | None = None

    def run(self, command: list[str]) -> None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        events = watch_signals_and_parent()
        self._write(startedAt=utc_now())
        try:
            child = start(command)
        except OSError as error:
            self._write(exitCode=START_ERROR, reason="StartError", message=str(error), finishedAt=utc_now())
            return
        self._write(pid=child.pid)
        child.returncode = code = self._wait(child.pid, events)
        kill_descendants()
        self._write(exitCode=code, reason="Completed" if code == 0 else "Error", finishedAt=utc_now())

    def _wait(self, pid: int, events: selectors.BaseSelector) -> int:
        """The command's exit code; 128+n if signal n ended it, as Kubernetes says it."""
        while True:
            for what in wait_for_events(events, self._kill_at):
                self._handle(what, pid)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                send(pid, signal.SIGKILL)
            if (code := reap().get(pid)) is not None:
                return code if code >= 0 else 128 - code

    def _handle(self, what: str, pid: int) -> None:
        if what == "parent died":
            self._kill_at = time.monotonic()
        elif what == "SIGTERM" and self._kill_at is None:
            self._kill_at = time.monotonic() + self._grace
            send(pid, signal.SIGTERM)

    def _write(self, **values: Any) -> None:
        self._values.update(values)
        spare = self._record.with_suffix(".new")
        spare.write_text(json.dumps(self._values))
        spare.replace(self._record)


def watch_signals_and_parent() -> selectors.BaseSelector:
    """Ready when a child ended, SIGTERM came, or the parent closed (or died with) its end of standard input."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # only the wake-up byte counts
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.set_wakeup_fd(writer)
    events = selectors.DefaultSelector()
    events.register(reader, selectors.EVENT_READ, "signals")
    events.register(sys.stdin.fileno(), selectors.EVENT_READ, "parent")
    return events


def wait_for_events(events: selectors.BaseSelector, until: float | None) -> list[str]:
    """What happened, at the latest when `until` (monotonic) has come."""
    timeout = None if until is None else max(until - time.monotonic(), 0.05)
    happened = []
    for key, _ in events.select(timeout):
        if key.data == "parent":
            events.unregister(key.fd)
            happened.append("parent died")
        else:
            happened += ["SIGTERM" for byte in os.read(key.fd, 64) if byte == signal.SIGTERM]
    return happened


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Starts the command in a session of its own; raises OSError if it cannot be executed.

    The caller keeps the object: its finaliser would reap the child, and its exit code would be lost.
    """
    parent = os.getpid()

    def die_with_supervisor() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(START_ERROR)

    # PLW1509: preexec_fn is unsafe beside threads, and there are none here
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_supervisor)  # noqa: PLW1509


def reap() -> dict[int, int]:
    """Exit codes (minus the signal) of the children that ended, adopted ones included."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def kill_descendants() -> None:
    """Until none is left: a process can fork while it is looked for."""
    while living := psutil.Process().children(recursive=True):
        for process in living:
            send(process.pid, signal.SIGKILL)
        time.sleep(0.01)
        reap()


def send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself


def prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main()
