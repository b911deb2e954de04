"""`kubetune run` as a user starts it: a process of its own, looked at from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

DEADLINE = 540.0
"""Seconds. Longer than any run here takes on a busy machine; reaching it is a failure."""


@dataclass
class Workspace:
    """A directory with a state directory, and jobs over the tiny model."""

    root: Path
    model: Path
    data: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.root / "state"

    def job(self, kind: str = "SFTJob", name: str = "tiny", **spec: Any) -> dict[str, Any]:
        """A small job on CPU; `spec` replaces whole fields, and `training` is merged."""
        # 180 tokens hold four samples of 43: a batch of eight is two mini-batches, on two nodes one each
        training = {"effectiveBatchSize": 8, "maxSeqLen": 64, "maxTokensPerGpu": 180, "learningRate": 1e-3}
        training |= {"unfreezeRankRatio": 0.5} if kind == "OSFTJob" else {}
        base = {
            "model": {"uri": str(self.model)},
            "dataset": {"uri": str(self.data)},
            "output": {"uri": "pvc://runs"},
            "device": "cpu",
        }
        merged = {**base, **spec, "training": training | spec.get("training", {})}
        return {"apiVersion": "kubetune.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": merged}

    def write(self, *documents: dict[str, Any], file: str = "job.yaml") -> Path:
        path = self.root / file
        path.write_text(yaml.safe_dump_all(documents))
        return path

    def start(self, *arguments: str, stdin: str | None = None) -> subprocess.Popen[str]:
        """`kubetune ARGUMENTS`, in this directory."""
        process = subprocess.Popen(
            [sys.executable, "-m", "kubetune.cli", *arguments],
            cwd=self.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def kubetune(self, *arguments: str, stdin: str | None = None) -> Ended:
        return finish(self.start(*arguments, stdin=stdin), stdin)

    def run(self, job: dict[str, Any], *arguments: str) -> Ended:
        """Writes the job and runs it to its end."""
        return self.kubetune("run", str(self.write(job)), "--state-dir", str(self.state), *arguments)

    def start_run(self, job: dict[str, Any], *arguments: str) -> subprocess.Popen[str]:
        return self.start("run", str(self.write(job)), "--state-dir", str(self.state), *arguments)

    def stored(self, kind: str = "SFTJob", name: str = "tiny") -> dict[str, Any]:
        """The resource as the state directory holds it now; empty before it is there."""
        file = self.state / "resources" / kind.lower() / "default" / f"{name}.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def pod(self, name: str) -> dict[str, Any]:
        return json.loads((self.state / "resources" / "pod" / "default" / f"{name}.json").read_text())

    def checkpoint(self, resource: dict[str, Any]) -> Path:
        """The final checkpoint's directory."""
        uri = resource["status"]["finalCheckpoint"]["uri"]
        return self.state / "volumes" / uri.removeprefix("pvc://")

    def metrics(self, resource: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """The optimizer steps in a metrics file of the backend, below the last attempt's directory."""
        lines = (self.checkpoint(resource).parents[1] / name).read_text().splitlines()
        return [step for step in map(json.loads, lines) if "step" in step]

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()  # its pods end with it
                process.communicate(timeout=60)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def resource(self) -> dict[str, Any]:
        return json.loads(self.stdout)


def finish(process: subprocess.Popen[str], stdin: str | None = None) -> Ended:
    out, err = process.communicate(stdin, timeout=DEADLINE)
    return Ended(process.returncode, out, err)


def wait_for(look: Callable[[], Any], alive: subprocess.Popen[str] | None = None) -> Any:
    """Polls until `look` gives something true; fails at once if the process it watches has ended."""
    deadline = time.monotonic() + DEADLINE
    while not (seen := look()):
        if alive is not None and alive.poll() is not None:
            raise AssertionError(f"kubetune ended with {alive.returncode}: {alive.communicate()[1][-3000:]}")
        assert time.monotonic() < deadline, "never seen"
        time.sleep(0.05)
    return seen


def pod_processes(uid: str) -> list[psutil.Process]:
    """Every living process that carries a pod's mark."""
    return [process for process in psutil.process_iter() if environment(process).get("KUBETUNE_POD_UID") == uid]


def environment(process: psutil.Process) -> dict[str, str]:
    try:
        return {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {}


def training_worker(uid: str) -> psutil.Process:
    """The torch worker of a pod: the process that torchrun gave a local rank."""
    ranked = {p.pid: p for p in pod_processes(uid) if "LOCAL_RANK" in environment(p)}
    (worker,) = [p for p in ranked.values() if p.ppid() not in ranked]  # its data loaders inherit the variable
    return worker


def entrypoint(uid: str) -> psutil.Process:
    """The container's own process: what the kubelet sends SIGTERM to."""
    (process,) = [p for p in pod_processes(uid) if p.cmdline()[1:3] == ["-m", "kubetune_trainer.entrypoint"]]
    return process
