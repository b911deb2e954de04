"""Kueue: an attempt that waits in its queue, and one that Kueue took back. Kueue decides; this says so and draws the conclusion.

An attempt that Kueue took back has ended, and the next one is a PyTorchJob of its own, never the same one unsuspended: its name,
its directory and the checkpoint to go on from belong to one attempt (fencing), and its pods may still be running somewhere.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from kubetune.api.status import MAX_MESSAGE, Attempt, Failure, Phase
from kubetune.controller.bounds import clip
from kubetune.controller.decision import Decision
from kubetune.controller.observe import Observation
from kubetune.controller.policies.live import end_attempt
from kubetune.controller.policies.suspend import lingers
from kubetune.controller.queueing import deactivated, waiting
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import FailureClass

EVICTED = "EvictedByKueue"

YOUNG = timedelta(seconds=30)
"""For how long a job that was put into its queue is looked at often."""


def taken_back(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """Preempted, or evicted for another reason: what its pods say of their end is no failure of theirs."""
    if not was_taken_back(observed):
        return None
    failure = eviction(observed)
    if observed.queued and any(lingers(pod, settings, now) for pod in observed.pods):
        phase = observed.status.phase or Phase.STARTING
        return Decision(phase, EVICTED, f"{failure.message}; the pods are stopping", requeue_after=1)
    return end_attempt(observed, failure)


def was_taken_back(observed: Observation) -> bool:
    """It had been admitted, and is suspended or evicted now; or was so meanwhile, and has been admitted anew."""
    queue, attempt, child = observed.queue, observed.attempt, observed.child
    if not observed.live or attempt is None or child is None or child.deleting or queue is None:
        return False
    if attempt.queued is None and (not observed.pods or queue.problem):
        return False
    if queue.admitted is None or queue.evicted is not None:
        return child.suspended or queue.evicted is not None
    return attempt.queued is not None and queue.admitted > admission(attempt)


def admission(attempt: Attempt) -> datetime:
    """When its queue admitted it."""
    return attempt.started + timedelta(seconds=attempt.queued or 0)


def eviction(observed: Observation) -> Failure:
    queue, master = observed.queue, observed.master
    said = queue.evicted_message if queue and queue.evicted_message else "its PyTorchJob was suspended"
    return Failure(
        failure_class=FailureClass.PREEMPTED,
        reason=(queue.evicted_reason if queue else "") or EVICTED,
        message=clip(f"taken back by Kueue: {said}", MAX_MESSAGE),
        exit_code=master.exit_code if master else None,
    )


def wait(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """In the queue, with what holds it. At first it is looked at often: Kueue's first word takes a moment."""
    if not observed.queued or observed.attempt is None:
        return None
    reason, message = waiting(observed.queue)
    young = now - observed.attempt.started < YOUNG
    return Decision(Phase.QUEUED, reason, message, requeue_after=settings.leftover_seconds if young else settings.poll_seconds)


def hold(observed: Observation, settings: ControllerSettings, _now: datetime) -> Decision | None:
    """Deactivated by an administrator, or by Kueue after too many tries: a new PyTorchJob would get round that."""
    queue = observed.queue
    if observed.live or queue is None or queue.workload is None or queue.active:
        return None
    reason, message = deactivated(queue)
    return Decision(Phase.QUEUED, reason, message, keep_leftovers=True, requeue_after=settings.poll_seconds)
