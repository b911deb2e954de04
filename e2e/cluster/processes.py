"""Programs of the cluster as recorded processes: started in the background, ended by the pid that was written down."""

from __future__ import annotations

import os
import random
import signal
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

POLL_SECONDS = 0.05


class StartError(RuntimeError):
    """A program ended or did not answer in time; its log's last lines are in the message."""


PORTS = range(10_000, 30_000)
"""Below those that the kernel gives to outgoing connections (Linux: from 32768), one of which was taken a second before the API
server listened on it; and below Kubernetes' NodePorts."""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has now. Raises RuntimeError if there are too few."""
    found = list(islice(filter(is_free, random.sample(PORTS, len(PORTS))), count))
    if len(found) < count:
        raise RuntimeError(f"fewer than {count} ports are free between {PORTS.start} and {PORTS.stop}")
    return found


def is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start(folder: Path, name: str, *command: object, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Starts the program in a session of its own; its pid goes to `<name>.pid`, its output to `<name>.log`."""
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, env={**os.environ, **(environment or {})},
        )  # fmt: skip
    (folder / f"{name}.pid").write_text(str(process.pid))
    return process


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 90) -> None:
    """Polls until `ready`; raises StartError if the process ends first or the time is over."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            why = f"exited {process.returncode}" if process.poll() is not None else f"not ready after {seconds:.0f} s"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise StartError(f"{log.stem} {why}; the end of {log}:\n{tail}")
        time.sleep(POLL_SECONDS)


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    """Whether a GET gives 200."""
    try:
        with urllib.request.urlopen(url, context=context, timeout=2) as reply:  # noqa: S310 - a URL of ours on loopback
            return bool(reply.status == 200)
    except OSError:
        return False


def stop(folder: Path, name: str, seconds: float = 15, first: signal.Signals = signal.SIGTERM) -> None:
    """The signal `first`, then SIGKILL; a program that is not running is no error."""
    record = folder / f"{name}.pid"
    if not record.exists():
        return
    pid = int(record.read_text())
    if is_ours(pid, folder) and not ended(pid, first, seconds):
        ended(pid, signal.SIGKILL, seconds)
    record.unlink()


def is_ours(pid: int, folder: Path) -> bool:
    """Whether that pid still is a program of this cluster: pids are used again."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def ended(pid: int, with_signal: signal.Signals, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    try:
        os.kill(pid, with_signal)
        while time.monotonic() < deadline:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                os.waitpid(pid, os.WNOHANG)
                return True
            os.kill(pid, 0)
            time.sleep(POLL_SECONDS)
    except (ProcessLookupError, ChildProcessError, FileNotFoundError):
        return True
    return False
