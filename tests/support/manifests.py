"""PyTorchJobs and jobs as a user of the cluster writes them, with commands that need no torch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from kubetune.cluster import ATTEMPT, JOB_KIND, JOB_NAME, JOB_UID

UID = "11111111-2222-3333-4444-555555555555"


def pytorchjob(
    code: str, *, name: str = "demo-sft-1", workers: int = 0, worker_code: str | None = None, attempt: int = 1, **pod_spec: Any
) -> dict[str, Any]:
    """A PyTorchJob whose replicas run `python -c code`."""
    labels = {JOB_UID: UID, JOB_NAME: "demo", JOB_KIND: "SFTJob", ATTEMPT: str(attempt)}

    def replica(script: str, count: int) -> dict[str, Any]:
        container = {"name": "pytorch", "image": "trainer:1", "command": ["python", "-c", script]}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 5, **pod_spec},
        }
        return {"replicas": count, "restartPolicy": "Never", "template": template}

    replicas = {"Master": replica(code, 1)}
    if workers:
        replicas["Worker"] = replica(worker_code or code, workers)
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "PyTorchJob",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"nprocPerNode": "1", "runPolicy": {"cleanPodPolicy": "None"}, "pytorchReplicaSpecs": replicas},
    }


def sftjob(**status: Any) -> dict[str, Any]:
    """The job behind that PyTorchJob."""
    return {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "SFTJob",
        "metadata": {"name": "demo", "namespace": "default", "uid": UID},
        "spec": {},
        "status": status,
    }


async def until(look: Callable[[], Awaitable[Any]], true: Callable[[Any], bool], seconds: float = 60) -> Any:
    """Polls until what is seen is `true`; fails after a generous time with the last thing seen."""
    deadline = time.monotonic() + seconds
    while not true(seen := await look()):
        assert time.monotonic() < deadline, f"never seen; the last was {seen}"
        await asyncio.sleep(0.02)
    return seen
