"""A live attempt: has it reached its end, failed, hung, run out of time, or is it to be left alone?"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from kubetune.api.policies import RunPolicy
from kubetune.api.status import Attempt, Failure, Phase
from kubetune.controller.decision import SUCCEEDED, SUSPENDED, AttemptEnd, Decision, NudgeChild
from kubetune.controller.diagnose import diagnose, settled
from kubetune.controller.observe import Observation, names_account
from kubetune.controller.retry import why_no_retry
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import FailureClass


def reached_end(observed: Observation, _settings: ControllerSettings, _now: datetime) -> Decision | None:
    """The one way to Succeeded: the trainer says so, and a verified checkpoint stands behind it."""
    outcome = observed.outcome
    if not (observed.live and outcome and outcome.reached_end and outcome.checkpoint and outcome.checkpoint.verified):
        return None
    message = (
        f"reached step {outcome.step} of {outcome.total_steps or outcome.step}; checkpoint {outcome.checkpoint.uri} is verified"
    )
    return Decision(
        Phase.SUCCEEDED,
        "ReachedEnd",
        message,
        ended=AttemptEnd(SUCCEEDED, message, outcome.exit_code, outcome.resumed_from, outcome.step),
        final_checkpoint=outcome.checkpoint,
        requeue_after=0,
    )


def failed(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """One failed pod fails the whole gang, whatever the PyTorchJob itself says yet."""
    failure = diagnose(observed, settings, now) if observed.live else None
    if failure is None:
        return None
    if not settled(observed, failure, settings, now):
        phase = observed.status.phase or Phase.STARTING
        return Decision(phase, "PodFailed", failure.message, requeue_after=settings.settle_seconds)
    return end_attempt(observed, failure)


def deadline(observed: Observation, _settings: ControllerSettings, now: datetime) -> Decision | None:
    """The field activeDeadlineSeconds counts from the first start; neither suspended time nor the queue's is active time."""
    limit, due = run_policy(observed).active_deadline_seconds, deadline_time(observed)
    if due is None or now < due or observed.status.phase is Phase.SUSPENDED:
        return None
    message = f"activeDeadlineSeconds: the job was active for {limit} s; raise it for a new job"
    failure = Failure(failure_class=FailureClass.DEADLINE_EXCEEDED, reason="DeadlineExceeded", message=message)
    return end_attempt(observed, failure)


def deadline_time(observed: Observation) -> datetime | None:
    """When the job will have been active for activeDeadlineSeconds; None while its wait in the queue is not recorded.

    Nor while it still is Failed and is tried once more: from then on it counts anew.
    """
    child, attempt = observed.child, observed.attempt
    if observed.live and child and child.queue and attempt and attempt.queued is None:
        return None
    limit, start = run_policy(observed).active_deadline_seconds, observed.status.start_time
    if not limit or not start or observed.status.phase is Phase.FAILED:
        return None
    return start + timedelta(seconds=limit) + idle_time([each for each in observed.status.attempts if each.started >= start])


def idle_time(attempts: Sequence[Attempt]) -> timedelta:
    """What suspension left between the attempts that are still listed, and what they spent in a queue."""
    queues = sum(attempt.queued or 0 for attempt in attempts)
    gaps = [after.started - before.ended for before, after in pairwise(attempts) if before.ended and before.reason == SUSPENDED]
    return sum((max(gap, timedelta()) for gap in gaps), timedelta(seconds=queues))  # the clock may have been set back


def hang(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """No new step for progressDeadlineSeconds while the master runs, which had its time to notice that by itself."""
    limit, since, due = run_policy(observed).progress_deadline_seconds, last_progress(observed), hang_time(observed, settings)
    if not observed.live or since is None or due is None or now < due:
        return None
    where = f"since step {observed.step}" if observed.step is not None else "and no step was ever reported"
    message = f"no new step for {int((now - since).total_seconds())} s {where}; progressDeadlineSeconds is {limit}"
    return end_attempt(observed, Failure(failure_class=FailureClass.HANG, reason="Hang", message=message))


def hang_time(observed: Observation, settings: ControllerSettings) -> datetime | None:
    """When the running attempt will be taken for hung."""
    limit, moved = run_policy(observed).progress_deadline_seconds, last_progress(observed)
    return moved + timedelta(seconds=limit + settings.hang_slack_seconds) if moved and limit else None


def last_progress(observed: Observation) -> datetime | None:
    """When the running attempt last moved: its last step, or its start before the first.

    None before the first step if it may be that nothing can be reported (template.serviceAccountName): silence is no hang then.
    """
    master = observed.master
    if master is None or not master.running or master.started is None or (observed.step is None and names_account(observed)):
        return None
    progress = observed.status.progress
    moved = progress.updated_time if progress and observed.step is not None else None
    return max(moved, master.started) if moved else master.started


def run_policy(observed: Observation) -> RunPolicy:
    """The defaults where the spec cannot be read."""
    return observed.job.spec.run_policy if observed.job else RunPolicy()


def end_attempt(observed: Observation, failure: Failure) -> Decision:
    """Failed for good, or Restarting. The child is deleted by the next decision, when this one has been written."""
    final = why_no_retry(observed, failure)
    phase = Phase.FAILED if final else Phase.RESTARTING
    message = f"{failure.message} ({final})" if final and failure.failure_class.retryable else failure.message
    outcome = observed.outcome
    end = AttemptEnd(
        failure.failure_class.value,
        failure.message,
        exit_code=failure.exit_code,
        resumed_from=outcome.resumed_from if outcome else None,
        last_step=observed.step,
    )
    ended = end if observed.live else None
    return Decision(phase, failure.reason, message, ended=ended, failure=failure, stalled=final is not None, requeue_after=0)


def supervise(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """Nothing to do but to say where it stands, and to look again before the next deadline."""
    if not observed.live:
        return None
    phase, reason, message = standing(observed)
    after = min([settings.poll_seconds, *deadlines(observed, settings, now)])
    return Decision(phase, reason, message, actions=nudge(observed, settings, now), requeue_after=after)


def nudge(observed: Observation, settings: ControllerSettings, now: datetime) -> tuple[NudgeChild, ...]:
    """For pods that nobody makes and nobody refuses.

    Seen (docs/chaos.md): a job was deleted and made again while the training operator's watch was cut. It had made a pod for the
    first PyTorchJob, never heard of it, and so held back the second one's, for good.
    """
    child, attempt = observed.child, observed.attempt
    if child is None or attempt is None or child.suspended or child.deleting or observed.refused:
        return ()
    if len(observed.pods) >= child.replicas or (child.queue and attempt.queued is None):  # how long it queued is not recorded
        return ()
    admitted = attempt.started + timedelta(seconds=attempt.queued or 0)
    since = max(each for each in (admitted, child.created, child.nudged) if each)
    if (now - since).total_seconds() < settings.nudge_seconds:
        return ()
    return (NudgeChild(child.name, child.uid, f"{child.replicas - len(observed.pods)} of its pods are missing", now),)


def standing(observed: Observation) -> tuple[Phase, str, str]:
    """(phase, reason, message) of an attempt that has not ended."""
    master_runs = observed.master is not None and observed.master.running
    if observed.refused and observed.step is None:  # the other nodes wait for those that nobody creates
        return Phase.RUNNING if master_runs else Phase.STARTING, "PodsRefused", observed.refused
    if master_runs or observed.step is not None:
        return Phase.RUNNING, "Running", ""
    for pod in observed.pods:
        if pod.unschedulable:
            return Phase.STARTING, "Unschedulable", f"{pod.name}: {pod.unschedulable}"
        if pod.waiting_reason:
            return Phase.STARTING, pod.waiting_reason, f"{pod.name}: {pod.waiting_message}"
    return Phase.STARTING, "Starting", "the pods are being started" if observed.pods else "the pods are being created"


def deadlines(observed: Observation, settings: ControllerSettings, now: datetime) -> list[float]:
    """Seconds until something is due, each at least one."""
    due = [
        deadline_time(observed),
        hang_time(observed, settings),
        *(
            pod.created + timedelta(seconds=settings.waiting_grace_seconds)
            for pod in observed.pods
            if pod.created and pod.waiting_reason
        ),
    ]
    return [max(1.0, (at - now).total_seconds()) for at in due if at]
