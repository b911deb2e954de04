"""The status that follows from what is known and what was decided. Pure; equal arguments give an equal status."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from kubetune.api.identity import pytorchjob_name
from kubetune.api.status import MAX_ATTEMPTS, MAX_MESSAGE, Attempt, Failure, JobStatus, Phase
from kubetune.cluster import ClusterError
from kubetune.controller.bounds import ATTEMPT_MESSAGE, bounded, clip, written_part
from kubetune.controller.conditions import conditions
from kubetune.controller.decision import AttemptEnd, CreateAttempt, Decision
from kubetune.controller.goodput import goodput
from kubetune.controller.observe import Observation
from kubetune.controller.retry import counted


def next_status(observed: Observation, decision: Decision, now: datetime) -> JobStatus:
    """The whole status, the trainer's part as it was read. The decision's actions have been carried out."""
    before, phase = observed.status, decision.phase
    attempts = next_attempts(observed, decision, now)
    failure = next_failure(observed, decision)
    reopened = before.phase is Phase.FAILED and not phase.finished  # with a backoffLimit and a deadline as at its first start
    status = before.model_copy(
        update={
            "phase": phase,
            "observed_generation": observed.generation,
            "spec_hash": before.spec_hash or (fixed_hash(observed) if attempts else None),
            "conditions": conditions(observed, decision, failure, now),
            "attempts": attempts[-MAX_ATTEMPTS:],
            "restarts": (0 if reopened else before.restarts) + new_restarts(before.attempts, attempts),
            "final_checkpoint": decision.final_checkpoint or before.final_checkpoint,
            "failure": failure,
            "goodput": goodput(observed, attempts, now),
            "start_time": start_time(before, attempts, now, reopened=reopened),
            "completion_time": (before.completion_time or now) if phase.finished else None,
        }
    )
    return bounded(status)


def start_time(before: JobStatus, attempts: tuple[Attempt, ...], now: datetime, *, reopened: bool) -> datetime | None:
    """Of the first attempt; of a job that Failed and is tried once more, of the one that is made for that."""
    if reopened:
        return attempts[-1].started if attempts and attempts[-1].ended is None else now
    return before.start_time or (attempts[0].started if attempts else None)


def fixed_hash(observed: Observation) -> str | None:
    """Of what the first attempt was started with, which an attempt found without a record knows itself."""
    return observed.started_hash or observed.hash


def next_attempts(observed: Observation, decision: Decision, now: datetime) -> tuple[Attempt, ...]:
    """The listed ones, plus the one that was found, with the live one ended, plus the one that was created."""
    attempts = list(observed.status.attempts)
    if observed.attempt and not observed.recorded:
        attempts.append(observed.attempt)
    if observed.live:
        attempts[-1] = with_queue(attempts[-1], observed, decision, now)
    if decision.ended:
        attempts[-1] = end(attempts[-1], decision.ended, now)
    attempts += [created(observed, action, now) for action in decision.actions if isinstance(action, CreateAttempt)]
    return tuple(attempts)


def with_queue(attempt: Attempt, observed: Observation, decision: Decision, now: datetime) -> Attempt:
    """The seconds in its queue, once it is admitted or has ended without that."""
    child, queue = observed.child, observed.queue
    waits = child.suspended if child else observed.status.phase is Phase.QUEUED
    named = child.queue is not None if child else waits
    if attempt.queued is not None or not named or (waits and decision.ended is None):
        return attempt
    admitted = queue.admitted if queue and queue.admitted else now
    return attempt.model_copy(update={"queued": max(0, int((admitted - attempt.started).total_seconds()))})


def end(attempt: Attempt, ended: AttemptEnd, now: datetime) -> Attempt:
    return attempt.model_copy(
        update={
            "ended": now,
            "reason": ended.reason,
            "message": clip(ended.message, ATTEMPT_MESSAGE),
            "exit_code": ended.exit_code,
            "resumed_from": ended.resumed_from or attempt.resumed_from,
            "last_step": ended.last_step,
        }
    )


def created(observed: Observation, action: CreateAttempt, now: datetime) -> Attempt:
    """`resumed_from` is what it was told to go on from; the outcome corrects it if that did not verify."""
    if observed.job is None:
        raise ValueError("an attempt needs a valid job")
    origin = action.resume_from[0] if action.resume_from else None
    return Attempt(
        number=action.number, py_torch_job=pytorchjob_name(observed.job, action.number), started=now, resumed_from=origin
    )


def new_restarts(before: tuple[Attempt, ...], after: tuple[Attempt, ...]) -> int:
    """Attempts that are new and follow one whose end counts."""
    known = {attempt.number for attempt in before}
    return sum(1 for previous, attempt in pairwise(after) if attempt.number not in known and counted(previous))


def next_failure(observed: Observation, decision: Decision) -> Failure | None:
    """The last one, until the job succeeds or, never started, is mended."""
    if decision.phase is Phase.SUCCEEDED or (observed.never_started and decision.failure is None and not decision.phase.finished):
        return None
    failure = decision.failure or observed.status.failure
    return failure.model_copy(update={"message": clip(failure.message, MAX_MESSAGE)}) if failure else None


def refused(observed: Observation, decision: Decision, error: ClusterError, requeue_after: float) -> Decision:
    """What remains of a decision whose actions the cluster refused: the job stays where it was, and says why."""
    if decision.phase.finished:
        return replace(decision, actions=(), requeue_after=requeue_after)
    before = observed.status.phase
    phase = before if before and not before.finished else Phase.PENDING
    what = "CreateFailed" if any(isinstance(a, CreateAttempt) for a in decision.actions) else "DeleteFailed"
    return replace(
        decision,
        phase=phase,
        reason=what,
        message=str(error),
        actions=(),
        ended=None,
        failure=None,
        stalled=not error.retryable,
        requeue_after=requeue_after,
    )


def changed(before: JobStatus, after: JobStatus) -> bool:
    """Whether there is anything to write."""
    return written_part(before) != written_part(after)
