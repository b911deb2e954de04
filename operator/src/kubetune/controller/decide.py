"""From what is known to what is to be done. Pure: a chain of policies, of which the first that applies decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from kubetune.controller.decision import Decision, DeleteChild, Policy
from kubetune.controller.observe import Observation
from kubetune.controller.policies import finished, held, live, queued, start, suspend
from kubetune.controller.settings import ControllerSettings

CHAIN: tuple[Policy, ...] = (
    finished.finished,
    # a live attempt: what has happened comes before what is wished
    live.reached_end,
    suspend.suspend,
    queued.taken_back,
    live.failed,
    live.deadline,
    live.hang,
    held.held,
    queued.wait,
    live.supervise,
    # no live attempt: every reason not to start one
    start.invalid_spec,
    start.exhausted,
    suspend.stay_suspended,
    start.changed_spec,
    queued.hold,
    start.backoff,
    start.upstream,
    start.occupied,
    start.stragglers,
    start.start,
)


def decide(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """What to do about the job; None if it is being deleted: ownerReferences take along all that was made for it."""
    if observed.deleting:
        return None
    for policy in CHAIN:
        decision = policy(observed, settings, now)
        if decision is not None:
            return decision if policy is finished.finished else with_cleanup(decision, observed)
    raise AssertionError("the last policy always decides")


def with_cleanup(decision: Decision, observed: Observation) -> Decision:
    """The children of ended attempts go before anything new is made: their end stands in the status already."""
    if decision.phase.finished or decision.keep_leftovers:
        return decision
    gone = tuple(DeleteChild(child.name, child.uid, "its attempt has ended") for child in observed.leftovers)
    return replace(decision, actions=gone + decision.actions) if gone else decision
