"""Operators as processes on a real control plane: started, killed, stopped in their tracks, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from fake_cluster import job
from waiting import until

from e2e.cluster.processes import free_ports

Manifest = dict[str, Any]


class Cluster:
    """The control plane, through kubectl."""

    def __init__(self, kubeconfig: Path, program: Path) -> None:
        self.kubeconfig, self._program = kubeconfig, program

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [str(self._program), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=180)
        assert not done.returncode, f"{' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def create_job(self, namespace: str, name: str, **labels: str) -> None:
        body = job(name=name)
        body["metadata"] = {"name": name, "namespace": namespace, "labels": labels}
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))

    def items(self, namespace: str, kind: str) -> list[Manifest]:
        return list(json.loads(self.kubectl("get", kind, "-n", namespace, "-o", "json"))["items"])

    def children(self, namespace: str) -> list[str]:
        return [item["metadata"]["name"] for item in self.items(namespace, "pytorchjobs")]

    def holder(self, namespace: str) -> str | None:
        """Of the one Lease that lies there: the replica's name, without its random part."""
        leases = self.items(namespace, "leases")
        assert len(leases) <= 1, "replicas of one scope share one Lease"
        return (
            str(leases[0]["spec"]["holderIdentity"]).rsplit("_", 1)[0] if leases and "holderIdentity" in leases[0]["spec"] else None
        )

    def transitions(self, namespace: str) -> int:
        return int(self.items(namespace, "leases")[0]["spec"]["leaseTransitions"])


class Replica:
    """One operator process."""

    def __init__(
        self,
        name: str,
        kubeconfig: Path,
        log: Path,
        options: tuple[str, ...],
        program: tuple[str, str] = ("-m", "kubetune.controller"),
    ) -> None:
        """`program`: what Python is to run."""
        (self.port,) = free_ports(1)
        self.name, self.log = name, log
        command = [sys.executable, *program, "--image=trainer:1", f"--identity={name}", "--address=127.0.0.1"]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, f"--port={self.port}", "--log-format=json", *options], stdout=out, stderr=out, env=environment
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and text; 0 if nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.said
            return self.get("/readyz")[0] == 200

        until(ready, f"{self.name} is ready")

    def metric(self, series: str) -> float | None:
        lines = self.get("/metrics")[1].splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == series), None)

    @property
    def made(self) -> int:
        """PyTorchJobs: created (newcomers), or applied where there was none."""
        verbs = ("create", "patch")
        found = [self.metric(f'kubetune_api_writes_total{{code="201",resource="pytorchjobs",verb="{verb}"}}') for verb in verbs]
        return int(sum(each or 0 for each in found))

    @property
    def leads(self) -> bool:
        return self.metric("kubetune_leader") == 1

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float) -> float:
        """How long it takes to end; fails after so many seconds."""
        began = time.monotonic()
        self.process.wait(seconds)
        return time.monotonic() - began

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def lines(self) -> list[Manifest]:
        """Of the log, each of which must be a JSON object."""
        return [json.loads(line) for line in self.said.splitlines()]
