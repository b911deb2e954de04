"""What the Kubeflow training operator (1.9.3) makes of a PyTorchJob, as pure functions: its pods, and its status from theirs.

Source: kubeflow/training-operator, pkg/controller.v1/pytorch (envvar.go, pytorchjob_controller.go) and pkg/controller.v1/common.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from kubetune.cluster import Manifest

CONTAINER = "pytorch"
"""The container that trains; the operator asks for this name."""

MASTER_ADDR = "127.0.0.1"
"""All pods share this machine's network."""

NODE = "localhost"
"""The one node of the embedded cluster."""

PREFIX = "training.kubeflow.org"


def timestamp(now: datetime) -> str:
    """As metav1.Time: whole seconds, UTC."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def desired_pods(job: Manifest, port: int) -> list[Manifest]:
    """The pods of a PyTorchJob, master first; `port` is the rendezvous' on this machine."""
    return [_pod(job, kind, index, port) for kind, count in replicas(job).items() for index in range(count)]


def replicas(job: Manifest) -> dict[str, int]:
    """How many pods of which replica type, Master first."""
    specs = job["spec"]["pytorchReplicaSpecs"]
    return {kind: int(specs[kind].get("replicas", 1)) for kind in ("Master", "Worker") if kind in specs}


def _pod(job: Manifest, kind: str, index: int, port: int) -> Manifest:
    metadata, template = job["metadata"], copy.deepcopy(job["spec"]["pytorchReplicaSpecs"][kind]["template"])
    given = template.get("metadata", {})
    role = {"training.kubeflow.org/job-role": "master"} if kind == "Master" else {}
    labels = {
        **given.get("labels", {}),
        f"{PREFIX}/job-name": metadata["name"],
        f"{PREFIX}/operator-name": "pytorchjob-controller",
        f"{PREFIX}/replica-index": str(index),
        f"{PREFIX}/replica-type": kind.lower(),
        **role,
    }
    spec = {**template["spec"], "restartPolicy": "Never", "nodeName": NODE}
    added = rendezvous_environment(job, kind, index, port)
    for container in spec["containers"]:
        container["env"] = _merged(container.get("env", []), added)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{kind.lower()}-{index}",
            "namespace": metadata.get("namespace", "default"),
            "labels": labels,
            **({"annotations": given["annotations"]} if given.get("annotations") else {}),
            "ownerReferences": [_owner(job)],
        },
        "spec": spec,
    }


def _owner(job: Manifest) -> dict[str, Any]:
    metadata = job["metadata"]
    reference = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": metadata["name"], "uid": metadata["uid"]}
    return {**reference, "controller": True, "blockOwnerDeletion": True}


def _merged(env: list[dict[str, Any]], added: dict[str, str]) -> list[dict[str, Any]]:
    """The operator appends its variables, and of two of one name Kubernetes takes the last."""
    return [e for e in env if e["name"] not in added] + [{"name": name, "value": value} for name, value in added.items()]


def rendezvous_environment(job: Manifest, kind: str, index: int, port: int) -> dict[str, str]:
    """The variables that the operator adds to every container of a replica (no elasticPolicy, with a Master)."""
    nodes = sum(replicas(job).values())
    per_node = str(job["spec"].get("nprocPerNode") or "auto")
    rank = str(index if kind == "Master" else index + 1)
    return {
        "PYTHONUNBUFFERED": "1",
        "MASTER_PORT": str(port),
        "PET_MASTER_PORT": str(port),
        "MASTER_ADDR": MASTER_ADDR,
        "PET_MASTER_ADDR": MASTER_ADDR,
        "WORLD_SIZE": str(nodes * (int(per_node) if per_node.isdigit() else 1)),
        "RANK": rank,
        "PET_NPROC_PER_NODE": per_node,
        "PET_NODE_RANK": rank,
        "PET_NNODES": str(nodes),
    }


def finished(job: Manifest) -> bool:
    """Succeeded or Failed: the operator never takes it up again."""
    return _is_true(job, "Succeeded") or _is_true(job, "Failed")


def suspended(job: Manifest) -> bool:
    return bool(job["spec"].get("runPolicy", {}).get("suspend"))


def _is_true(job: Manifest, condition: str) -> bool:
    return any(c["type"] == condition and c["status"] == "True" for c in job.get("status", {}).get("conditions", []))


def job_status(job: Manifest, pods: Sequence[Manifest], now: datetime) -> Manifest:
    """The PyTorchJob's next status: finished stays finished, otherwise its pods decide."""
    if finished(job):
        return dict(job["status"])
    name = job["metadata"]["name"]
    status = copy.deepcopy(job.get("status", {}))
    status.setdefault("conditions", [])
    _set(status, "Created", f"PyTorchJob {name} is created.", now)
    if suspended(job):
        status.pop("startTime", None)
        return _set(status, "Suspended", f"PyTorchJob {name} is suspended.", now)
    status.setdefault("startTime", timestamp(now))
    counts = {kind: _count(pod for pod in pods if _replica_type(pod) == kind.lower()) for kind in replicas(job)}
    status["replicaStatuses"] = {kind: dict(count) for kind, count in counts.items()}
    if counts["Master"]["succeeded"]:
        status["completionTime"] = timestamp(now)
        return _set(status, "Succeeded", f"PyTorchJob {name} is successfully completed.", now)
    for kind, count in counts.items():
        if count["failed"]:
            status["completionTime"] = timestamp(now)
            return _set(status, "Failed", f"PyTorchJob {name} is failed because {count['failed']} {kind} replica(s) failed.", now)
    return _set(status, "Running", f"PyTorchJob {name} is running.", now) if counts["Master"]["active"] else status


def _replica_type(pod: Manifest) -> str:
    return str(pod["metadata"]["labels"][f"{PREFIX}/replica-type"])


def _count(pods: Iterable[Manifest]) -> Counter[str]:
    """A pod that is being deleted counts as failed though it still runs (seen with 1.9.3)."""
    names = {"Running": "active", "Succeeded": "succeeded", "Failed": "failed"}
    return Counter(
        "failed" if "deletionTimestamp" in pod["metadata"] else names[phase]
        for pod in pods
        if (phase := pod.get("status", {}).get("phase")) in names or "deletionTimestamp" in pod["metadata"]
    )


def _set(status: Manifest, kind: str, message: str, now: datetime) -> Manifest:
    """Adds the condition, or leaves it as it is; a terminal one and Suspended make Running false, Running takes Suspended back."""
    conditions = status["conditions"]
    if any(c["type"] == kind and c["status"] == "True" for c in conditions):
        return status
    opposite = {"Succeeded": "Running", "Failed": "Running", "Suspended": "Running", "Running": "Suspended"}.get(kind)
    kept = [_made_false(c, now) if c["type"] == opposite else c for c in conditions if c["type"] != kind]
    status["conditions"] = [*kept, _condition(kind, message, now)]
    return status


def _condition(kind: str, message: str, now: datetime) -> dict[str, str]:
    when = timestamp(now)
    reason = f"PyTorchJob{kind}"
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": when,
        "lastTransitionTime": when,
    }


def _made_false(condition: dict[str, str], now: datetime) -> dict[str, str]:
    return {**condition, "status": "False", "lastUpdateTime": timestamp(now), "lastTransitionTime": timestamp(now)}
