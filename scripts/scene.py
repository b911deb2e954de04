"""A job, its first attempt and its pods, as messages.py shows them to kubetune's code."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubetune.api import Job, parse_job
from kubetune.api.documents import load_documents
from kubetune.api.status import Attempt, JobStatus
from kubetune.controller.child import Child
from kubetune.controller.observe import Observation
from kubetune.controller.pods import PodState
from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings
from kubetune_trainer.backends.base import StepMetrics, Torchrun
from kubetune_trainer.contract import Checkpoint
from kubetune_trainer.launch.lines import Line
from kubetune_trainer.launch.rollcall import Member

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ControllerSettings(render=RenderSettings(image="kubetune-trainer"))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
OUTPUT = "default-teach-8a1f6c02"
STATE = Checkpoint(
    uri=f"pvc://runs/{OUTPUT}/attempt-1/full_state/step_212", step=212, bytes=10**9, kind="full-state", verified=True
)
GANG = Torchrun(nnodes=3, rdzv_id="8a1f6c02-1", endpoint="teach-sft-1-master-0:23456")
MASTER = PodState("teach-sft-1-master-0", "m", master=True, index=0, phase="Running", node="gpu-7", created=NOON, started=NOON)
MASTER = replace(MASTER, running=True)
WORKER = replace(MASTER, name="teach-sft-1-worker-0", uid="w", master=False, node="gpu-8")
CHILD = Child(name="teach-sft-1", uid="c", number=1, owned=True)


def job(**spec: Any) -> dict[str, Any]:
    """examples/minimal/sft.yaml, with what is given laid over its spec."""
    (document,) = load_documents((ROOT / "examples" / "minimal" / "sft.yaml").read_text())
    return {**document, "spec": document["spec"] | spec}


def observed(*pods: PodState, **facts: Any) -> Observation:
    """The first attempt of that job, alive."""
    attempt = Attempt(number=1, py_torch_job="teach-sft-1", started=NOON)
    known: dict[str, Any] = {"job": parsed(), "attempt": attempt, "child": CHILD, "status": JobStatus(start_time=NOON)}
    document = job() | {"metadata": {"name": "teach", "uid": "8a1f6c02-0000-0000-0000-000000000000"}}
    known |= {"errors": "", "hash": None, "recorded": True}
    return Observation(manifest=document, pods=pods, **known | facts)


def parsed(**spec: Any) -> Job:
    return parse_job(job(**spec))


def step(number: int, loss: float = 1.0) -> StepMetrics:
    return StepMetrics(number, 0, 100, loss, None, 8.0 * number, None, None, None)


def turn(role: str) -> dict[str, Any]:
    """One row of chat data."""
    return {"messages": [{"role": role, "content": "The car is red, and so is the house beside it."}]}


@contextlib.contextmanager
def scratch() -> Iterator[None]:
    """A directory of its own, so that no message names this machine's."""
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        yield


@contextlib.contextmanager
def connected() -> Iterator[tuple[Member, socket.socket]]:
    """Another node, and its end of the connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as there,
        server.accept()[0] as here,
    ):
        yield Member(1, WORKER.name, Line(here)), there
