"""Jobs with a status, pods and events, as values, for the tests of `explain`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from kubetune.cluster import ATTEMPT
from kubetune.explain import Commands, Event, Finding, Seen, evidence_of, explain

NOW = datetime.fromisoformat("2026-11-28T12:00:00+00:00")
COMMANDS = Commands("SFTJob", "research", "teach", file="teach.yaml")


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat().replace("+00:00", "Z")


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(minutes=5)}


def attempt(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"number": number, "pyTorchJob": f"teach-sft-{number}", "started": ago(hours=1), **more}


def job(
    phase: str | None = None, *, spec: dict[str, Any] | None = None, reason: str = "", message: str = "", **status: Any
) -> dict[str, Any]:
    """`reason`, `message`: of the condition Running, which says what the job does or waits for."""
    given: dict[str, Any] = {
        "model": {"uri": "pvc://m/m"},
        "dataset": {"uri": "pvc://d/d.jsonl"},
        "output": {"uri": "pvc://o"},
        **(spec or {}),
    }
    metadata = {"name": "teach", "namespace": "research", "uid": "u", "generation": 1, "creationTimestamp": ago(hours=2)}
    document = {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": metadata, "spec": given}
    if phase is None:
        return document
    conditions = status.pop("conditions", [])
    if reason:
        conditions = [*conditions, condition("Running", "True" if phase == "Running" else "False", reason, message)]
    return document | {"status": {"phase": phase, "observedGeneration": 1, "conditions": conditions, **status}}


def pod(
    name: str = "teach-sft-1-master-0", *, node: str | None = None, created: str | None = None, **status: Any
) -> dict[str, Any]:
    role = "master" if "master" in name else "worker"
    labels = {ATTEMPT: "1", "training.kubeflow.org/replica-type": role, "training.kubeflow.org/replica-index": name[-1]}
    return {
        "metadata": {"name": name, "uid": name, "labels": labels, "creationTimestamp": created or ago(minutes=20)},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": "Pending", **status},
    }


def unscheduled(name: str, message: str) -> dict[str, Any]:
    return pod(name, conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])


def waits(reason: str, message: str = "why", name: str = "teach-sft-1-master-0") -> dict[str, Any]:
    return pod(
        name, node="n1", containerStatuses=[{"name": "pytorch", "state": {"waiting": {"reason": reason, "message": message}}}]
    )


def runs(minutes: float, name: str = "teach-sft-1-master-0") -> dict[str, Any]:
    state = {"running": {"startedAt": ago(minutes=minutes)}}
    return pod(name, node="n1", phase="Running", containerStatuses=[{"name": "pytorch", "state": state}])


def warning(reason: str, message: str, about: str = "") -> Event:
    return Event(reason, message, warning=True, about=about, time=NOW)


def found(
    manifest: dict[str, Any], *, pods: Any = (), events: Any = (), commands: Commands = COMMANDS, **more: Any
) -> list[Finding]:
    return explain(evidence_of(Seen(manifest, tuple(pods), tuple(events), **more), NOW), commands)
