"""N jobs created at once: how long until all have pods, until all are done, and what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from e2e.bench import audit
from e2e.bench.client import Client
from e2e.bench.programs import Bench
from e2e.bench.usage import cpu_seconds, peak_mib
from e2e.bench.workloads import TRAINJOB, Workload, runtime
from kubetune.cluster import REPORTER

POLL_SECONDS = 0.05
KNOWN_TRIES = 200
"""Of 0.05 s."""

SETTLE_SECONDS = 2.0
"""After the end: events are written last."""


@dataclass(frozen=True)
class Burst:
    """What was measured. Seconds count from the first create."""

    workload: str
    jobs: int
    accepted: float
    """Until the API server had taken every job."""

    children: float | None
    """Until each had its object for the next operator (PyTorchJob, JobSet)."""

    pods: float
    done: float
    cpu: dict[str, float]
    """CPU seconds by program, from the first create on."""

    peak: dict[str, int]
    """Peak resident memory in MiB by program, since its start."""

    writes: dict[str, dict[audit.Part, float]]
    """A job, by user."""

    refused: dict[str, int] = field(default_factory=dict)


class Seen:
    """Distinct names, and when the last one was first seen."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.last = 0.0

    def add(self, name: str) -> None:
        if name not in self.names:
            self.names.add(name)
            self.last = time.monotonic()


def burst(bench: Bench, workload: Workload, jobs: int, seconds: str, limit: float) -> Burst:
    """Raises TimeoutError if not all jobs are done in `limit` seconds."""
    client, namespace = bench.client, "bench"
    prepare(client, namespace, workload, seconds)
    pods, children, done = watch(client, namespace, workload)
    pids = {program: bench.pid(program) for program in workload.programs}
    cpu = {program: cpu_seconds(pid) for program, pid in pids.items()}
    began = time.monotonic()
    path = workload.path(namespace)
    client.send_all(("POST", path, workload.manifest(namespace, f"j{i}", seconds)) for i in range(jobs))
    accepted = time.monotonic() - began
    while len(done.names) < jobs:
        if time.monotonic() - began > limit:
            raise TimeoutError(f"{workload.name}: {len(done.names)} of {jobs} jobs were done after {limit:.0f} s")
        time.sleep(POLL_SECONDS)
    used = {program: cpu_seconds(pid) - cpu[program] for program, pid in pids.items()}
    time.sleep(SETTLE_SECONDS)
    with bench.audit_log.open("rb") as lines:
        written = audit.writes(lines, namespace)
    return Burst(
        workload.name, jobs, accepted, children.last - began if workload.child else None, pods.last - began, done.last - began,
        used, {program: peak_mib(pid) for program, pid in pids.items()}, audit.a_job(written, jobs), audit.refused(written),
    )  # fmt: skip


def prepare(client: Client, namespace: str, workload: Workload, seconds: str) -> None:
    """The namespace, the account that the pods name, and what TrainJobs refer to."""
    metadata = {"name": namespace}
    client.send("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": REPORTER, "namespace": namespace}}
    client.send("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    if workload.name == TRAINJOB:
        client.send("POST", f"{workload.api}/namespaces/{namespace}/trainingruntimes", runtime(namespace, seconds))
        until_known(client, workload, namespace, seconds)


def until_known(client: Client, workload: Workload, namespace: str, seconds: str) -> None:
    """Trainer's webhook refuses jobs whose runtime has not reached its cache yet. Raises the last refusal."""
    probe = workload.manifest(namespace, "probe", seconds)
    for tries_left in reversed(range(KNOWN_TRIES)):
        try:
            client.send("POST", f"{workload.path(namespace)}?dryRun=All", probe)
        except RuntimeError:
            if not tries_left:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def watch(client: Client, namespace: str, workload: Workload) -> tuple[Seen, Seen, Seen]:
    """(pods, children, jobs that are done)."""
    pods, children, done = Seen(), Seen(), Seen()

    def job_told(event: dict[str, Any]) -> None:
        if workload.done(event["object"]):
            done.add(event["object"]["metadata"]["name"])

    client.watch(f"/api/v1/namespaces/{namespace}/pods", lambda e: pods.add(e["object"]["metadata"]["name"]), metadata_only=True)
    if workload.child:
        api, plural = workload.child
        told = lambda e: children.add(e["object"]["metadata"]["name"])  # noqa: E731 - one line among its like
        client.watch(f"{api}/namespaces/{namespace}/{plural}", told, metadata_only=True)
    client.watch(workload.path(namespace), job_told)
    return pods, children, done
