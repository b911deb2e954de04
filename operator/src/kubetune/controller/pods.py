"""A pod's state, as far as the fate of an attempt depends on it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from kubetune.cluster import ATTEMPT, Manifest
from kubetune_trainer.contract import Outcome

CONTAINER = "pytorch"
"""The container that trains; the training operator asks for this name."""

REPLICA_TYPE = "training.kubeflow.org/replica-type"
REPLICA_INDEX = "training.kubeflow.org/replica-index"

SCHEDULED = ("PodScheduled", "True")
NORMAL_WAITS = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True)
class PodState:
    """One pod of an attempt."""

    name: str
    uid: str
    master: bool
    index: int
    phase: str
    node: str | None = None
    created: datetime | None = None
    scheduled: datetime | None = None
    started: datetime | None = None  # of the training container
    finished: datetime | None = None
    running: bool = False
    exit_code: int | None = None
    exit_reason: str | None = None  # OOMKilled, Error, Completed ...
    waiting_reason: str | None = None  # only what is not normal: ImagePullBackOff, CreateContainerConfigError ...
    waiting_message: str = ""
    unschedulable: str | None = None
    deletion: datetime | None = None  # when it should be gone: the request plus its grace period
    disruption: str | None = None  # reason of the condition DisruptionTarget
    reason: str | None = None  # of the pod: Evicted, NodeLost ...
    message: str = ""
    outcome: Outcome | None = None
    outcome_problem: str | None = field(default=None, repr=False)

    @property
    def finished_well(self) -> bool:
        return self.exit_code == 0 or (self.exit_code is None and self.phase == "Succeeded")

    @property
    def failed(self) -> bool:
        """Ended badly, or on its way out before its end: the gang is one short."""
        return not self.finished_well and (self.exit_code is not None or self.phase == "Failed" or self.deletion is not None)

    @property
    def node_lost(self) -> bool:
        """Its node is silent: what runs there cannot be told to stop, and nobody will say when it has."""
        return self.disruption == "DeletionByTaintManager" or self.reason == "NodeLost"

    @property
    def ended(self) -> bool:
        return self.exit_code is not None or self.phase in ("Succeeded", "Failed")


def timestamp(value: object) -> datetime | None:
    """A metav1.Time or MicroTime."""
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def attempt_of(manifest: Manifest) -> int:
    """The number of the attempt that it belongs to; 0 if it says none."""
    label = manifest["metadata"].get("labels", {}).get(ATTEMPT, "")
    return int(label) if label.isdigit() else 0


def pods_of_attempt(manifests: Iterable[Manifest], number: int) -> tuple[PodState, ...]:
    """Master first, then workers by index."""
    own = (pod_state(m) for m in manifests if attempt_of(m) == number)
    return tuple(sorted(own, key=lambda pod: (not pod.master, pod.index, pod.name)))


def pod_state(manifest: Manifest) -> PodState:
    """The pod as far as it matters here; what the kubelet has not said yet stays empty."""
    metadata, status = manifest["metadata"], manifest.get("status", {})
    labels = metadata.get("labels", {})
    index = labels.get(REPLICA_INDEX, "0")
    return PodState(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        master=labels.get(REPLICA_TYPE, "").lower() == "master",
        index=int(index) if index.isdigit() else 0,
        phase=status.get("phase", "Pending"),
        node=manifest.get("spec", {}).get("nodeName"),
        created=timestamp(metadata.get("creationTimestamp")),
        scheduled=_scheduled(status),
        unschedulable=_condition(status, "PodScheduled", "False", "message"),
        deletion=timestamp(metadata.get("deletionTimestamp")),
        disruption=_condition(status, "DisruptionTarget", "True", "reason"),
        reason=status.get("reason"),
        message=status.get("message", ""),
        **_container(status),
    )


def _condition(status: Manifest, kind: str, value: str, key: str) -> str | None:
    for condition in status.get("conditions") or []:
        if condition["type"] == kind and condition["status"] == value:
            return str(condition.get(key) or kind)
    return None


def _scheduled(status: Manifest) -> datetime | None:
    conditions = status.get("conditions") or []
    return next((timestamp(c.get("lastTransitionTime")) for c in conditions if (c["type"], c["status"]) == SCHEDULED), None)


def _container(status: Manifest) -> dict[str, Any]:
    """Of the training container; of an init container where that is what went wrong."""
    state = _trainer_state(status)
    running, terminated = state.get("running"), state.get("terminated")
    facts = _waiting(status)
    if running:
        facts |= {"running": True, "started": timestamp(running.get("startedAt"))}
    terminated = terminated or _failed_init(status)
    if terminated:
        facts |= _terminated(terminated)
    return facts


def _trainer_state(status: Manifest) -> dict[str, Any]:
    statuses = status.get("containerStatuses") or []
    chosen = next((s for s in statuses if s["name"] == CONTAINER), statuses[0] if statuses else {})
    return dict(chosen.get("state") or {})


def _failed_init(status: Manifest) -> dict[str, Any] | None:
    states = [(s.get("state") or {}).get("terminated") for s in status.get("initContainerStatuses") or []]
    return next((t for t in states if t and t.get("exitCode") != 0), None)


def _waiting(status: Manifest) -> dict[str, Any]:
    everyone = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    for waiting in ((s.get("state") or {}).get("waiting") or {} for s in everyone):
        if waiting.get("reason") and waiting["reason"] not in NORMAL_WAITS:
            return {"waiting_reason": waiting["reason"], "waiting_message": waiting.get("message", "")}
    return {}


def _terminated(terminated: dict[str, Any]) -> dict[str, Any]:
    outcome, problem = parse_outcome(terminated.get("message") or "")
    return {
        "started": timestamp(terminated.get("startedAt")),
        "finished": timestamp(terminated.get("finishedAt")),
        "exit_code": terminated.get("exitCode", 1),
        "exit_reason": terminated.get("reason"),
        "outcome": outcome,
        "outcome_problem": problem,
    }


def parse_outcome(message: str) -> tuple[Outcome | None, str | None]:
    """The outcome in a termination message, or None and what is wrong with it."""
    if not message.strip():
        return None, "it left no outcome"
    try:
        return Outcome.model_validate_json(message), None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return (
            None,
            f"its termination message is no outcome ({where + ': ' if where else ''}{first['msg']}): {message.strip()[-200:]!r}",
        )
