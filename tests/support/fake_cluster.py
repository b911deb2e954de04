"""A cluster in memory that plays what a real one cannot be made to show on demand: faults, lags, crashes, foreign objects.

It keeps what it is given and does nothing by itself: tests play the training operator, the kubelet and the trainer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from kubetune.cluster import ATTEMPT, HELD, JOB_UID, NUDGED, RELEASED, ClusterError, Manifest, Queueing
from kubetune_trainer.contract import Checkpoint, FailureClass, Outcome

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
UID = "7b4d3c2a-0000-4000-8000-000000000001"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def job(kind: str = "SFTJob", *, name: str = "teach", uid: str = UID, generation: int = 1, **spec: Any) -> Manifest:
    """A valid job as an API server would return it; `spec` replaces or adds fields."""
    base: dict[str, Any] = {
        "model": {"uri": "pvc://models/tiny"},
        "dataset": {"uri": "pvc://data/train.jsonl"},
        "output": {"uri": "pvc://runs"},
        "device": "cpu",
        "training": {"numEpochs": 3},
    }
    if kind == "OSFTJob":
        base["training"] = {
            "unfreezeRankRatio": 0.3,
            "effectiveBatchSize": 8,
            "maxTokensPerGpu": 256,
            "maxSeqLen": 128,
            "learningRate": 1e-4,
        }
    metadata = {
        "name": name,
        "namespace": "default",
        "uid": uid,
        "generation": generation,
        "resourceVersion": "1",
        "creationTimestamp": stamp(NOW),
    }
    return {"apiVersion": "kubetune.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": {**base, **spec}}


def checkpoint(
    step: int = 30, *, kind: str = "hf", verified: bool = True, time: datetime | None = None, attempt: int = 1
) -> Checkpoint:
    uri = f"pvc://runs/job/attempt-{attempt}/{kind}/{step}"
    return Checkpoint(uri=uri, step=step, epoch=step // 10, bytes=1000, kind=kind, verified=verified, time=time)  # type: ignore[arg-type] # a test's text


def success(attempt: int = 1, step: int = 30) -> Outcome:
    saved = checkpoint(step, attempt=attempt)
    return Outcome(reached_end=True, attempt=attempt, step=step, total_steps=step, checkpoint=saved)


def failure(kind: FailureClass, attempt: int = 1, message: str = "it broke", step: int = 7) -> Outcome:
    return Outcome(reached_end=False, attempt=attempt, step=step, total_steps=30, failure=kind, message=message, exit_code=1)


class FakeCluster:
    """`kubetune.cluster.Cluster` over dictionaries. `faults[method]` holds errors that its next calls raise."""

    def __init__(self, *jobs: Manifest) -> None:
        self.jobs = {(j["kind"], j["metadata"]["namespace"], j["metadata"]["name"]): copy.deepcopy(j) for j in jobs}
        self.children: dict[str, Manifest] = {}
        self.pod_objects: dict[str, Manifest] = {}
        self.logs: dict[str, str] = {}
        self.events: list[tuple[str, str, str]] = []
        self.event_names: list[tuple[str, str]] = []
        self.calls: list[tuple[str, Any]] = []
        self.kueue: dict[str, Queueing] = {}  # by the child's UID
        self.refusals: dict[str, str] = {}  # by the child's UID
        self.asked: list[str] = []  # of which child it was asked why its pods are missing
        self.reporters: set[str] = set()  # namespaces that have the account under which masters report
        self.faults: dict[str, list[ClusterError]] = {}
        self.now = NOW
        self.graceful = False  # deleted pods linger until the test removes them
        self.serial = 0

    # --- the protocol

    async def get_job(self, kind: str, namespace: str, name: str) -> Manifest | None:
        self._fault("get_job")
        return copy.deepcopy(self.jobs.get((kind, namespace, name)))

    async def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        self._fault("pytorchjob")
        return copy.deepcopy(self.children.get(name))

    async def pods(self, namespace: str, job_uid: str, names: Sequence[str] = ()) -> list[Manifest]:
        """Exactly those that are named, if any are: whoever asks for too few finds out."""
        self._fault("pods")
        own = [p for p in self.pod_objects.values() if p["metadata"]["labels"].get(JOB_UID) == job_uid]
        return [copy.deepcopy(p) for p in own if not names or p["metadata"]["name"] in names]

    async def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        self._fault("queueing")
        return self.kueue.get(child_uid, Queueing())

    async def pods_refused(self, namespace: str, child_uid: str) -> str:
        self._fault("pods_refused")
        self.asked.append(child_uid)
        return self.refusals.get(child_uid, "")

    async def ensure_reporter(self, namespace: str) -> None:
        self._fault("ensure_reporter")
        self.reporters.add(namespace)

    async def apply_pytorchjob(self, manifest: Manifest, *, new: bool = False) -> Manifest:
        self._fault("apply_pytorchjob")
        name = manifest["metadata"]["name"]
        if new and name in self.children:
            raise ClusterError(f"{name} already exists", status=409)
        self.calls.append(("create" if new else "apply", name))
        known = self.children.get(name)
        self.serial += 0 if known else 1
        identity = {
            "uid": known["metadata"]["uid"] if known else f"child-{self.serial}",
            "creationTimestamp": known["metadata"]["creationTimestamp"] if known else stamp(self.now),
        }
        stored = {**copy.deepcopy(manifest), "status": known.get("status", {}) if known else {}}
        stored["metadata"] |= identity
        self.children[name] = stored
        return copy.deepcopy(stored)

    async def nudge_pytorchjob(self, namespace: str, name: str, uid: str, now: datetime) -> None:
        self._fault("nudge_pytorchjob")
        child = self.children.get(name)
        if child and child["metadata"]["uid"] == uid:
            self.calls.append(("nudge", name))
            child["metadata"].setdefault("annotations", {})[NUDGED] = stamp(now)

    async def release_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        self._fault("release_pytorchjob")
        child = self.children.get(name)
        if child and child["metadata"]["uid"] == uid:
            self.calls.append(("release", name))
            child["metadata"].setdefault("annotations", {})[HELD] = RELEASED
            child["spec"]["runPolicy"]["suspend"] = False

    async def delete_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        self._fault("delete_pytorchjob")
        child = self.children.get(name)
        if child is None or child["metadata"]["uid"] != uid:
            return
        self.calls.append(("delete", name))
        self.remove_child(name)

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        self._fault("delete_pod")
        if name in self.pod_objects and self.pod_objects[name]["metadata"]["uid"] == uid:
            self.calls.append(("delete-pod", name))
            self.take_pod(name)

    async def delete_job(self, job: Manifest) -> None:
        self._fault("delete_job")
        self.calls.append(("delete-job", job["metadata"]["name"]))
        self.jobs.pop((job["kind"], job["metadata"]["namespace"], job["metadata"]["name"]), None)

    async def write_status(self, job: Manifest, status: Manifest) -> None:
        self._fault("write_status")
        stored = self.jobs[job["kind"], job["metadata"]["namespace"], job["metadata"]["name"]]
        if stored["metadata"]["resourceVersion"] != job["metadata"]["resourceVersion"]:
            raise ClusterError("the object has been modified", status=409)
        assert not {"progress", "checkpoints"} & set(status), "that part is the trainer's"
        kept = {key: value for key, value in stored.get("status", {}).items() if key in ("progress", "checkpoints")}
        stored["status"] = copy.deepcopy(status) | kept
        self.touch(stored)
        self.calls.append(("status", status.get("phase")))

    async def log_tail(self, namespace: str, pod: str, lines: int) -> str:
        self._fault("log_tail")
        return "\n".join(self.logs.get(pod, "").splitlines()[-lines:])

    async def event(self, job: Manifest, kind: str, reason: str, message: str, once: str) -> None:
        self._fault("event")
        if (reason, once) not in self.event_names:
            self.event_names.append((reason, once))
            self.events.append((kind, reason, message))

    def _fault(self, method: str) -> None:
        if self.faults.get(method):
            raise self.faults[method].pop(0)

    # --- what tests play

    @property
    def job(self) -> Manifest:
        """The first one."""
        return next(iter(self.jobs.values()))

    @property
    def status(self) -> Manifest:
        return dict(self.job.get("status", {}))

    def condition(self, kind: str) -> Manifest:
        return next(dict(c) for c in self.status["conditions"] if c["type"] == kind)

    def touch(self, stored: Manifest) -> None:
        stored["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)

    def change_spec(self, **spec: Any) -> None:
        """As `kubectl apply` does."""
        self.job["spec"] |= spec
        self.job["metadata"]["generation"] += 1
        self.touch(self.job)

    def report(self, **part: Any) -> None:
        """The trainer's part of the status."""
        self.job.setdefault("status", {}).update(part)
        self.touch(self.job)

    def acknowledge(self, attempt: int) -> None:
        """The training operator has seen that the attempt's PyTorchJob is suspended."""
        child = next(c for c in self.children.values() if c["metadata"]["labels"][ATTEMPT] == str(attempt))
        child["status"] = {"conditions": [{"type": "Created", "status": "True"}, {"type": "Suspended", "status": "True"}]}

    def run_pods(self, attempt: int, nodes: int = 1) -> list[str]:
        """The training operator and the kubelets: every pod of the attempt runs."""
        child = next(c for c in self.children.values() if c["metadata"]["labels"][ATTEMPT] == str(attempt))
        names = []
        for rank in range(nodes):
            role, index = ("master", 0) if rank == 0 else ("worker", rank - 1)
            name = f"{child['metadata']['name']}-{role}-{index}"
            self.pod_objects[name] = pod(name, role, index, attempt, child["metadata"]["labels"][JOB_UID], self.now)
            names.append(name)
        return names

    def end_pod(self, name: str, exit_code: int, outcome: Outcome | str | None = None, *, reason: str | None = None) -> None:
        said = outcome.to_message() if isinstance(outcome, Outcome) else outcome or ""
        state = {
            "exitCode": exit_code,
            "reason": reason or ("Completed" if exit_code == 0 else "Error"),
            "message": said,
            "startedAt": self.pod_objects[name]["metadata"]["creationTimestamp"],
            "finishedAt": stamp(self.now),
        }
        status = self.pod_objects[name]["status"]
        status["phase"] = "Failed" if exit_code else "Succeeded"
        status["containerStatuses"][0]["state"] = {"terminated": state}

    def remove_child(self, name: str) -> None:
        """`kubectl delete pytorchjob`: its pods follow."""
        uid = self.children.pop(name)["metadata"]["labels"].get(JOB_UID)
        for pod_name in [n for n in self.pod_objects if n.startswith(name + "-") and uid]:
            self.take_pod(pod_name)

    def take_pod(self, name: str) -> None:
        if self.graceful:
            self.pod_objects[name]["metadata"]["deletionTimestamp"] = stamp(self.now + timedelta(seconds=30))
        else:
            del self.pod_objects[name]


def pod(name: str, role: str, index: int, attempt: int, job_uid: str, now: datetime) -> Manifest:
    """A running pod, as the kubelet reports it."""
    labels = {
        JOB_UID: job_uid,
        ATTEMPT: str(attempt),
        "training.kubeflow.org/replica-type": role,
        "training.kubeflow.org/replica-index": str(index),
    }
    return {
        "metadata": {"name": name, "uid": f"pod-{name}", "labels": labels, "creationTimestamp": stamp(now)},
        "spec": {"nodeName": f"node-{index if role == 'master' else index + 1}"},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "pytorch", "state": {"running": {"startedAt": stamp(now)}}}],
        },
    }
