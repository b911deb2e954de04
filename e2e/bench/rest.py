"""Thousands of finished jobs at rest: memory, the first decision after a restart, and CPU while nothing happens.

Jobs, their status and their PyTorchJobs are written here, as the operator and the training operator leave them. There are no pods:
the operator does not watch them.
"""

from __future__ import annotations

import copy
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from e2e.bench.burst import Seen, prepare
from e2e.bench.client import APPLY, Client
from e2e.bench.programs import KUBETUNE, Bench
from e2e.bench.usage import cpu_seconds, peak_mib, resident_mib
from e2e.bench.workloads import IMAGE, KUBEFLOW, WORKLOADS, job, outcome
from kubetune.api import parse_job
from kubetune.cluster import ATTEMPT, FIELD_MANAGER
from kubetune.controller.bounds import written_part
from kubetune.controller.child import stamped
from kubetune.controller.decide import decide
from kubetune.controller.observe import observe
from kubetune.controller.pods import REPLICA_TYPE
from kubetune.controller.settings import ControllerSettings
from kubetune.controller.status import next_status
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob

Manifest = dict[str, Any]
NAMESPACE = "bench"
NEW = "new"
THREADS = 4
POLL_SECONDS = 0.05
IDLE_CPU, IDLE_SECONDS = 0.2, 10.0
"""All has been looked at when the operator used no more CPU seconds in so long."""

OWN = f"?fieldManager={FIELD_MANAGER}&force=true"


@dataclass(frozen=True)
class Rest:
    """What was measured with so many finished jobs. Seconds count from the operator's start."""

    jobs: int
    first: float
    """Until a job that was created while it was down had its PyTorchJob."""

    settled: float
    """Until every job had been looked at."""

    settling_cpu: float
    """CPU seconds until then."""

    cpu_a_minute: float
    """CPU seconds a minute from then on."""

    peak: int
    """MiB."""

    resident: int
    """MiB at the end."""


def rest(bench: Bench, jobs: int, seconds: float) -> Rest:
    """Watches the settled operator for so many seconds. Raises TimeoutError if the operator takes ten minutes for anything."""
    client, kind = bench.client, WORKLOADS[KUBETUNE]
    prepare(client, NAMESPACE, kind, "5s")
    fill(client, jobs)
    client.send("POST", kind.path(NAMESPACE), job(NAMESPACE, NEW, "5s"))
    seen = Seen()
    path = f"{KUBEFLOW}/namespaces/{NAMESPACE}/pytorchjobs"
    client.watch(path, lambda e: seen.add(e["object"]["metadata"]["name"]), metadata_only=True)
    while len(seen.names) < jobs:
        time.sleep(POLL_SECONDS)
    began = time.monotonic()
    bench.start(KUBETUNE)
    while len(seen.names) == jobs:
        in_time(began)
        time.sleep(POLL_SECONDS)
    pid = bench.pid(KUBETUNE)
    settled, used = wait_idle(pid, began)
    time.sleep(seconds)
    minute = (cpu_seconds(pid) - used) * 60 / (time.monotonic() - settled)
    return Rest(jobs, seen.last - began, settled - began, used, minute, peak_mib(pid), resident_mib(pid))


def wait_idle(pid: int, began: float) -> tuple[float, float]:
    """(since when it is idle, CPU seconds that it had used by then)."""
    while True:
        in_time(began)
        now, used = time.monotonic(), cpu_seconds(pid)
        time.sleep(IDLE_SECONDS)
        if cpu_seconds(pid) - used <= IDLE_CPU:
            return now, used


def in_time(began: float) -> None:
    if time.monotonic() - began > 600:
        raise TimeoutError("the operator took more than ten minutes")


def fill(client: Client, jobs: int) -> None:
    """So many finished jobs, each with the PyTorchJob of its one attempt."""
    status = finished_status()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda index: finish(client, f"j{index}", status), range(jobs)):
            pass


def finish(client: Client, name: str, status: Manifest) -> None:
    """The writes of a job's life, those that were overwritten since left out."""
    path = WORKLOADS[KUBETUNE].path(NAMESPACE)
    stored = client.send("POST", path, job(NAMESPACE, name, "5s"))
    body = {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": {"name": name}, "status": copy.deepcopy(status)}
    body["status"]["attempts"][0]["pyTorchJob"] = f"{name}-sft-1"
    client.send("PATCH", f"{path}/{name}/status{OWN}", body, APPLY)
    child = rendered(stored)
    at = f"{KUBEFLOW}/namespaces/{NAMESPACE}/pytorchjobs/{child['metadata']['name']}"
    client.send("PATCH", f"{at}{OWN}", child, APPLY)
    client.send("PATCH", f"{at}/status", {"status": ended(child)}, "application/merge-patch+json")


def rendered(stored: Manifest) -> Manifest:
    known = parse_job({key: value for key, value in stored.items() if key != "status"})
    return stamped(render_pytorchjob(known, AttemptPlan(1), RenderSettings(image=IMAGE)), known)


def ended(_: Manifest) -> Manifest:
    """As the training operator writes it."""
    now = stamp()
    said = {"Created": "True", "Running": "False", "Succeeded": "True"}
    conditions = [
        {
            "type": kind,
            "status": holds,
            "reason": f"PyTorchJob{kind}",
            "message": "",
            "lastUpdateTime": now,
            "lastTransitionTime": now,
        }
        for kind, holds in said.items()
    ]
    return {"conditions": conditions, "replicaStatuses": {"Master": {"succeeded": 1}, "Worker": {"succeeded": 1}}}


def finished_status() -> Manifest:
    """What the operator itself would write at the end of such a job."""
    manifest = job(NAMESPACE, "any", "5s")
    manifest["metadata"] |= {"uid": "00000000-0000-0000-0000-000000000000", "generation": 1, "creationTimestamp": stamp()}
    child = rendered(manifest)
    child["metadata"] |= {"uid": "child", "creationTimestamp": stamp()}
    labels = {ATTEMPT: "1", REPLICA_TYPE: "master"}
    state = {
        "terminated": {"exitCode": 0, "reason": "Completed", "message": outcome(), "startedAt": stamp(), "finishedAt": stamp()}
    }
    containers = [{"name": "pytorch", "state": state}]
    pod = {
        "metadata": {"name": "any-sft-1-master-0", "labels": labels},
        "status": {"phase": "Succeeded", "containerStatuses": containers},
    }
    observed = observe(manifest, [child], [pod])
    now = datetime.now(UTC).replace(microsecond=0)
    decision = decide(observed, ControllerSettings(render=RenderSettings(image=IMAGE)), now)
    if decision is None or not decision.phase.finished:
        raise RuntimeError(f"a finished job was expected, not {decision}")
    return dict(written_part(next_status(observed, decision, now)))


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
