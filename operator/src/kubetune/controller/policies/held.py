"""A retry's PyTorchJob is made suspended. It is released when the training operator has taken note and no earlier pod is left.

A training operator whose watch lags (docs/chaos.md) goes on making pods for the PyTorchJob that was deleted before, each time that
one of them is taken away. It hears of both in order: once it knows the new one it knows that the old one is gone.
"""

from __future__ import annotations

from datetime import datetime

from kubetune.api.status import Phase
from kubetune.controller.decision import Decision, DeletePod, ReleaseChild
from kubetune.controller.observe import Observation
from kubetune.controller.policies.suspend import lingers
from kubetune.controller.settings import ControllerSettings

WAITING = "WaitingForTrainingOperator"


def held(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    child = observed.child
    if not observed.live or child is None or not child.held:
        return None
    if not child.acknowledged:
        return unacknowledged(observed, settings, now)
    remaining = [pod for pod in observed.earlier if lingers(pod, settings, now)]
    if remaining:
        stop = tuple(DeletePod(pod.name, pod.uid, "its attempt has ended") for pod in remaining if pod.deletion is None)
        message = f"waits for pods of earlier attempts to end: {', '.join(pod.name for pod in remaining[:3])}"
        return Decision(Phase.STARTING, "WaitingForPods", message, actions=stop, requeue_after=1)
    return as_before(observed, (ReleaseChild(child.name, child.uid),), settings.poll_seconds)


def unacknowledged(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision:
    """Its event wakes the job; that there is nobody who would take note is told after a while."""
    child = observed.child
    born = child.created if child and child.created else now
    left = settings.held_quiet_seconds - (now - born).total_seconds()
    if child is None or left > 0:
        return as_before(observed, (), min(left, settings.poll_seconds))
    patience = f"{settings.held_quiet_seconds:.0f} s"
    message = f"the training operator has not taken note of PyTorchJob {child.name} for {patience}; see whether it runs"
    return Decision(Phase.STARTING, WAITING, message, requeue_after=settings.poll_seconds)


def as_before(observed: Observation, actions: tuple[ReleaseChild, ...], requeue_after: float) -> Decision:
    """No status write for what takes a second, unless something else was said."""
    running = observed.condition("Running")
    said = (running.reason, running.message) if running and observed.status.phase is Phase.STARTING else None
    if said is None or said[0] in (WAITING, "WaitingForPods"):
        said = "Starting", "the pods are being created"
    return Decision(Phase.STARTING, *said, actions=actions, requeue_after=requeue_after)
