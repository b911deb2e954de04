"""What follows a failure: another attempt or the end, and when. Pure; computed from the status alone: a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubetune.api.policies import RunPolicy
from kubetune.api.status import Attempt, Failure
from kubetune.controller.decision import SUSPENDED
from kubetune.controller.observe import Observation
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import FailureClass

UNCOUNTED = frozenset({SUSPENDED, FailureClass.PREEMPTED.value})
"""Reasons of an attempt's end that are somebody's decision, not a fault: they use up no restart."""


def counted(attempt: Attempt) -> bool:
    """Whether a new attempt after this one is a restart."""
    return attempt.reason not in UNCOUNTED


def why_no_retry(observed: Observation, failure: Failure) -> str | None:
    """Why there is no other attempt; None if there is to be one."""
    if not failure.failure_class.retryable:
        return f"{failure.failure_class.value} is not retried: the same spec would fail again"
    limit, restarts = backoff_limit(observed), restarts_so_far(observed)
    if failure.failure_class.value not in UNCOUNTED and restarts >= limit:
        return f"backoffLimit {limit} is used up ({restarts} restarts)"
    return None


def restarts_so_far(observed: Observation) -> int:
    """An attempt that was found without a record counts as the record will."""
    before = observed.status.attempts[-1] if observed.status.attempts else None
    return observed.status.restarts + (not observed.recorded and before is not None and counted(before))


def backoff_limit(observed: Observation) -> int:
    policy = observed.job.spec.run_policy if observed.job else RunPolicy()
    return policy.effective_backoff_limit


def backoff_seconds(attempts: Sequence[Attempt], settings: ControllerSettings) -> float:
    """Wait after the last attempt: base x 2^(failures in a row - 1), capped; the base after a preemption, none after suspension."""
    if not attempts or attempts[-1].reason == SUSPENDED:
        return 0.0
    in_a_row = 0
    for attempt in reversed(attempts):
        if not counted(attempt):
            break
        in_a_row += 1
    return min(settings.backoff_cap_seconds, settings.backoff_base_seconds * 2.0 ** max(0, in_a_row - 1))


def backoff_left(observed: Observation, settings: ControllerSettings, now: datetime) -> float:
    """Seconds until the next attempt may start: never more than the back-off itself, though the clock be set back by a year."""
    attempts = observed.status.attempts
    if not attempts or attempts[-1].ended is None:
        return 0.0
    if attempts[-1].reason == FailureClass.PREEMPTED and observed.job and observed.job.spec.queue_name:
        return 0.0  # the queue is the back-off, and to come late there would cost the place
    return max(0.0, backoff_seconds(attempts, settings) - abs((now - attempts[-1].ended).total_seconds()))


def resume_candidates(observed: Observation, settings: ControllerSettings) -> tuple[str, ...]:
    """URIs of verified full states, newest first. An attempt's own starting point stands in where its reports are lost."""
    states = [c for c in observed.status.checkpoints if c.kind == "full-state" and c.verified]
    newest_first = [c.uri for _, c in sorted(enumerate(states), key=lambda pair: (pair[1].step, pair[0]), reverse=True)]
    earlier = [a.resumed_from for a in reversed(observed.status.attempts) if a.resumed_from]
    return tuple(dict.fromkeys([*newest_first, *earlier]))[: settings.max_resume_candidates]
