"""The operator as a real process, which can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

QUICK = (
    "--poll-seconds=2",
    "--backoff-base-seconds=1",
    "--backoff-cap-seconds=4",
    "--sweep-seconds=10",
    "--straggler-seconds=2",
    "--no-leader-elect",  # after a kill -9 nobody waits for the end of the Lease: tests/cluster/ha does
    "--port=0",
)
"""Options that make a test short; what is tested is the same."""


class OperatorProcess:
    """`python -m kubetune.controller` in one namespace; its log is in a file."""

    def __init__(self, kubeconfig: Path, namespace: str, log: Path) -> None:
        self._environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self._namespace, self.log = namespace, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Later options win over QUICK's."""
        assert self._process is None, "it runs already"
        command = [sys.executable, "-m", "kubetune.controller", "--image=trainer:1", f"--namespace={self._namespace}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*command, *QUICK, *options], stdout=log, stderr=log, env=self._environment)

    def kill(self) -> None:
        """As a node that loses its power does: no word to anybody."""
        assert self._process is not None, "it does not run"
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None:
            self.kill()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""
