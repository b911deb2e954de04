"""`kubetune.client.jobs.Jobs` in memory: for what a real cluster cannot be made to show on demand."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from kubetune.client.embedded import merged
from kubetune.client.jobs import Event
from kubetune.cluster import ATTEMPT, JOB_UID, ClusterError, Manifest, Queueing


def job(name: str = "teach", kind: str = "SFTJob", phase: str | None = None, **status: Any) -> Manifest:
    """A stored one."""
    spec = {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "pvc://runs"}, "device": "cpu"}
    metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "resourceVersion": "1", "generation": 1}
    metadata |= {"creationTimestamp": "2026-01-01T12:00:00Z"}
    said = {**({"phase": phase} if phase else {}), **status}
    return {"apiVersion": "kubetune.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": said}


def attempt(number: int, reason: str | None = None, kind: str = "sft", name: str = "teach") -> Manifest:
    ended = {"ended": "2026-01-01T12:10:00Z", "reason": reason, "message": "it ended"} if reason else {}
    return {"number": number, "pyTorchJob": f"{name}-{kind}-{number}", "started": "2026-01-01T12:00:00Z", **ended}


def pod(number: int = 1, rank: int = 0, *, started: bool = True, exit_code: int | None = None, name: str = "teach") -> Manifest:
    role, index = ("master", 0) if rank == 0 else ("worker", rank - 1)
    labels = {JOB_UID: f"uid-{name}", ATTEMPT: str(number)}
    labels |= {"training.kubeflow.org/replica-type": role, "training.kubeflow.org/replica-index": str(index)}
    running: Manifest = (
        {"running": {"startedAt": "2026-01-01T12:00:00Z"}} if started else {"waiting": {"reason": "ContainerCreating"}}
    )
    state = running if exit_code is None else {"terminated": {"exitCode": exit_code}}
    called = f"{name}-sft-{number}-{role}-{index}"
    metadata = {"name": called, "namespace": "ml", "uid": called, "labels": labels}
    return {
        "metadata": metadata,
        "spec": {},
        "status": {"phase": "Running", "containerStatuses": [{"name": "pytorch", "state": state}]},
    }


class FakeJobs:
    """`script`: what happens at each look at a job, in order: a change of it, or an error that is raised."""

    namespace = "ml"

    def __init__(self, *jobs: Manifest) -> None:
        self.jobs = {(j["kind"], j["metadata"]["namespace"], j["metadata"]["name"]): copy.deepcopy(j) for j in jobs}
        self.script: list[Callable[[Manifest], None] | ClusterError] = []
        self.pod_list: list[Manifest] = []
        self.lines: dict[str, list[str]] = {}  # by pod
        self.children: dict[str, Manifest] = {}
        self.published: list[Event] = []
        self.configmaps: list[Manifest] = []
        self.refusal: ClusterError | None = None
        self.followed: list[str] = []
        self.closed = False

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        found = self.jobs.get((kind, namespace, name))
        if found and self.script:
            step = self.script.pop(0)
            if isinstance(step, ClusterError):
                raise step
            step(found)
            found["metadata"]["resourceVersion"] = str(int(found["metadata"]["resourceVersion"]) + 1)
        return copy.deepcopy(self.jobs.get((kind, namespace, name)))

    def all(self, kind: str, namespace: str | None) -> list[Manifest]:
        return [copy.deepcopy(j) for (k, ns, _), j in self.jobs.items() if k == kind and namespace in (None, ns)]

    def create(self, document: Manifest) -> Manifest:
        key = (document["kind"], document["metadata"]["namespace"], document["metadata"]["name"])
        if self.refusal:
            raise self.refusal
        if key in self.jobs:
            raise ClusterError("already exists", status=409)
        self.jobs[key] = merged(document, {"metadata": {"uid": f"uid-{key[2]}", "resourceVersion": "1"}})
        return copy.deepcopy(self.jobs[key])

    def put_configmap(self, manifest: Manifest) -> None:
        self.configmaps.append(manifest)

    def patch(self, job: Manifest, change: Manifest) -> Manifest:
        key = (job["kind"], job["metadata"]["namespace"], job["metadata"]["name"])
        self.jobs[key] = merged(self.jobs[key], change)
        return copy.deepcopy(self.jobs[key])

    def delete(self, job: Manifest) -> None:
        del self.jobs[job["kind"], job["metadata"]["namespace"], job["metadata"]["name"]]

    def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        return self.children.get(name)

    def pods(self, namespace: str, job_uid: str) -> list[Manifest]:
        return [p for p in self.pod_list if p["metadata"]["labels"][JOB_UID] == job_uid]

    def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        return Queueing(workload={"of": child_uid, "in": queue})

    def events(self, namespace: str, names: frozenset[str]) -> list[Event]:
        return self.published

    def ensure_driven(self, job: Manifest) -> None:
        """Always."""

    def log(self, pod: Manifest, *, follow: bool, tail: int | None) -> Iterator[str]:
        name = pod["metadata"]["name"]
        self.followed += [name] if follow else []
        lines = self.lines.get(name, [])
        yield from lines if tail is None else lines[max(0, len(lines) - tail) :]

    def close(self) -> None:
        self.closed = True
