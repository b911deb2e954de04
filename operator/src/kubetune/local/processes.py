"""A pod's processes as seen from the embedded cluster: started, asked to end, killed, looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

POD_UID_ENV = "KUBETUNE_POD_UID"
"""Marks every process of a pod, so that none can be lost sight of."""

LOST = 137
"""Exit code of a container whose end nobody saw, as the kubelet reports it (ContainerStatusUnknown)."""


class PodProcess:
    """A supervisor and the command under it. Ends with this process, however this process ends."""

    def __init__(self, directory: Path, uid: str) -> None:
        self.directory, self.uid = directory, uid
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def record_file(self) -> Path:
        return self.directory / "process.json"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    @property
    def termination_log(self) -> Path:
        return self.directory / "termination-log"

    @property
    def report_file(self) -> Path:
        return self.directory / "report.json"

    @property
    def work_dir(self) -> Path:
        return self.directory / "work"

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], grace_seconds: float, work_dir: Path | None = None
    ) -> None:
        """Starts the command with exactly this environment and the pod's own marks."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        arguments = [sys.executable, "-m", "kubetune.local.supervisor", str(self.record_file), str(grace_seconds), *command]
        with self.log_file.open("ab") as log:
            self._supervisor = subprocess.Popen(
                arguments,
                env={**environment, POD_UID_ENV: self.uid},
                cwd=work_dir or self.work_dir,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a terminal's Ctrl-C is kubetune's to answer
            )

    def terminate(self) -> None:
        """SIGTERM now, SIGKILL when the grace period is over."""
        if self._supervisor is not None and self._supervisor.poll() is None:
            self._supervisor.terminate()

    def kill(self) -> None:
        """SIGKILL now."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            self._supervisor.stdin.close()

    def wait(self) -> None:
        """Until nothing of the pod runs."""
        if self._supervisor is not None:
            self._supervisor.wait()

    @property
    def running(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def record(self) -> dict[str, Any]:
        """What the supervisor says; of one that died without a last word: the end that the kubelet would report."""
        values = json.loads(self.record_file.read_text()) if self.record_file.exists() else {}
        if self.running or "exitCode" in values:
            return values
        end_marked(self.uid)
        message = "The container could not be located when the pod was terminated"
        return {**values, "exitCode": LOST, "reason": "ContainerStatusUnknown", "message": message}

    def log_tail(self, lines: int) -> str:
        return tail(self.log_file, lines)


def end_marked(uid: str) -> None:
    """Kills every process that carries this pod's mark, until none is left."""
    while living := [process for process in psutil.process_iter() if _carries(process, uid)]:
        for process in living:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(living, timeout=1)


def _carries(process: psutil.Process, uid: str) -> bool:
    try:
        return process.environ().get(POD_UID_ENV) == uid and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # AccessDenied: another user's, so not ours
        return False


def tail(file: Path, lines: int, limit: int = 256 * 1024) -> str:
    """The last lines of a text file, of its last `limit` bytes at most; empty if it does not exist."""
    if lines <= 0 or not file.exists():
        return ""
    with file.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - limit))
        text = stream.read().decode(errors="replace")
    return "".join(text.splitlines(keepends=True)[-lines:])
