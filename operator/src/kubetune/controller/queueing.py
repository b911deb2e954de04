"""What Kueue says of an attempt's PyTorchJob, as far as its fate depends on it. Pure.

Source: kueue.sigs.k8s.io, Workload (conditions QuotaReserved, Admitted, Evicted; spec.active) and Pending Workloads on demand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kubetune.cluster import Manifest, Queueing
from kubetune.controller.pods import timestamp

EXACT_POSITIONS = 20
"""Beyond it the place in the queue is not told to the last digit: each move would be a write to the status."""


@dataclass(frozen=True)
class QueueState:
    """How the PyTorchJob stands in its queue."""

    queue: str
    installed: bool = True
    problem: str = ""  # why nothing more is known
    workload: str | None = None  # name of the Workload that Kueue made of it
    active: bool = True
    admitted: datetime | None = None  # since when
    evicted: datetime | None = None  # since when; None again once it is requeued and admitted
    evicted_reason: str = ""  # Preempted, Deactivated, ClusterQueueStopped, PodsReadyTimeout ...
    evicted_message: str = ""
    waiting_reason: str = ""  # Pending, Inadmissible ...
    waiting_message: str = ""
    position: int | None = None  # among those that wait in its LocalQueue, from 1
    cluster_position: int | None = None  # in the ClusterQueue, which several LocalQueues may share


def queue_state(queue: str, seen: Queueing) -> QueueState:
    """The queue's word on one PyTorchJob."""
    workload = seen.workload
    if workload is None:
        return QueueState(queue, installed=seen.installed)
    reserved, evicted = _condition(workload, "QuotaReserved"), _condition(workload, "Evicted")
    gone = evicted.get("status") == "True"
    waits = reserved.get("status") == "False"
    return QueueState(
        queue,
        workload=workload["metadata"]["name"],
        active=workload["spec"].get("active") is not False,
        admitted=_since(_condition(workload, "Admitted")),
        evicted=_since(evicted),
        evicted_reason=str(evicted.get("reason", "")) if gone else "",
        evicted_message=str(evicted.get("message", "")) if gone else "",
        waiting_reason=str(reserved.get("reason", "")) if waits else "",
        waiting_message=str(reserved.get("message", "")) if waits else "",
        position=_place(seen.pending, "positionInLocalQueue"),
        cluster_position=_place(seen.pending, "positionInClusterQueue"),
    )


def waiting(state: QueueState | None) -> tuple[str, str]:
    """(reason, message) of an attempt that its queue has not admitted: what holds it, and what to do where somebody must."""
    if state is None:
        return "Queued", "the PyTorchJob is suspended, though this job names no queue; set its runPolicy.suspend to false"
    if not state.installed:
        remedy = "install Kueue (kueue.sigs.k8s.io), or make a job without queueName"
        return "KueueMissing", f"spec.queueName is {state.queue}, but this cluster has no Kueue; {remedy}"
    if state.problem:
        return "Queued", f"waits in queue {state.queue}; Kueue's objects could not be read: {state.problem}"
    if state.workload is None:
        remedy = "if this stays so, see that it runs and has kubeflow.org/pytorchjob among its integrations"
        return "Queued", f"waits for Kueue to put it into queue {state.queue}; {remedy}"
    if not state.active:
        return deactivated(state)
    return state.waiting_reason or "Queued", "; ".join(filter(None, (place(state), state.waiting_message, what_helps(state))))


def deactivated(state: QueueState) -> tuple[str, str]:
    return "WorkloadDeactivated", (
        f"Workload {state.workload} was deactivated{': ' + state.evicted_message if state.evicted_message else ''}; "
        f'to let the job go on: kubectl patch workload {state.workload} --type=merge -p \'{{"spec":{{"active":true}}}}\''
    )


def place(state: QueueState) -> str:
    """Its turn, as far as Kueue tells."""
    if state.position is None:
        return f"waits in queue {state.queue}"
    elsewhere = state.cluster_position is not None and state.cluster_position != state.position
    shared = f" ({ordinal(state.cluster_position)} in its ClusterQueue)" if elsewhere and state.cluster_position else ""
    return f"{ordinal(state.position)} in queue {state.queue}{shared}"


def what_helps(state: QueueState) -> str:
    """For what does not go away by waiting."""
    said = state.waiting_message
    if said.startswith("LocalQueue") and "doesn't exist" in said:
        listed = "kubectl get localqueues lists those there are"
        return f"make it, or set runPolicy.suspend, correct spec.queueName and resume ({listed})"
    if said.startswith("ClusterQueue") and "doesn't exist" in said:
        return f"whoever runs the cluster must make it, or point LocalQueue {state.queue} to another one"
    if "inactive" in said:
        return f"whoever runs the cluster sees why with: kubectl describe localqueue {state.queue}; kubectl describe clusterqueue"
    return ""


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd ...; a round number beyond EXACT_POSITIONS."""
    if number > EXACT_POSITIONS:
        return f"beyond the {ordinal(EXACT_POSITIONS)}"
    ending = "th" if 11 <= number % 100 <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _condition(workload: Manifest, kind: str) -> Manifest:
    found = (workload.get("status") or {}).get("conditions") or []
    return next((dict(c) for c in found if c["type"] == kind), {})


def _since(condition: Manifest) -> datetime | None:
    return timestamp(condition.get("lastTransitionTime")) if condition.get("status") == "True" else None


def _place(pending: Manifest | None, key: str) -> int | None:
    """Kueue counts from 0."""
    return int(pending[key]) + 1 if pending is not None and key in pending else None
