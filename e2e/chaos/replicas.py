"""The operator's replicas as processes: killed, frozen, told to end, and started again as a Deployment would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from e2e.chaos.recorder import SYSTEM, Recorder
from e2e.cluster.processes import answers, free_ports

QUICK = ("--poll-seconds=10", "--backoff-base-seconds=1", "--backoff-cap-seconds=8", "--sweep-seconds=30", "--straggler-seconds=2")
"""Waits that suit a run of minutes; all else is as installed."""


class Replica:
    """One of them."""

    def __init__(self, name: str, kubeconfig: Path, namespace: str, log: Path, recorder: Recorder) -> None:
        self.name, self.log = name, log
        self._recorder = recorder
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        (self._port,) = free_ports(1)
        self._command = [
            sys.executable, "-m", "kubetune.controller", "--image=trainer:1", f"--namespace={namespace}", f"--identity={name}",
            f"--lease-namespace={SYSTEM}", "--address=127.0.0.1", f"--port={self._port}", "--log-format=json", *QUICK,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.wanted = False

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self.wanted = True
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment)

    def end(self, how: signal.Signals) -> None:
        """Without waiting for it."""
        self.wanted = False
        if self._process and self.runs:
            self._recorder.did(how.name, self.name)
            self._process.send_signal(how)

    def kill(self) -> None:
        """At the end of the run."""
        self.wanted = False
        if self._process:
            self._process.kill()
            self._process.wait()

    async def gone(self) -> None:
        if self._process:
            await asyncio.to_thread(self._process.wait)

    async def ready(self) -> None:
        """On a slow machine a start may take longer than the time between two kills: then nothing would ever be tried."""
        while not await asyncio.to_thread(answers, f"http://127.0.0.1:{self._port}/readyz"):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.5)

    def freeze(self) -> None:
        """As a machine that stalls: it goes on later, with what it believed before."""
        if self._process and self.runs:
            self._recorder.did("freeze", self.name)
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self._process and self.runs:
            self._recorder.did("thaw", self.name)
            self._process.send_signal(signal.SIGCONT)

    async def keep(self) -> None:
        """Starts it again when it has ended by itself."""
        while True:
            if self.wanted and not self.runs:
                self._recorder.did("ended by itself", self.name)
                self.start()
            await asyncio.sleep(1)


def bugs(log: Path) -> list[str]:
    """What the operator itself did not expect. That kopf gives up and the process ends is none: it is started anew, and counted."""
    return [
        f"{line['message']}: {line['error'][-500:]}"
        for line in lines(log)
        if "error" in line and line["logger"].startswith("kubetune.")
    ]


def terms(log: Path) -> int:
    """How often this replica came to lead."""
    return sum(1 for line in lines(log) if " leads (lease" in line["message"])


def lines(log: Path) -> list[dict[str, str]]:
    """What the operator logged as JSON objects; what Python prints when it ends badly is left out."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
