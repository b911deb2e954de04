"""No attempt lives: may one be started, and from where?"""

from __future__ import annotations

from datetime import datetime

from kubetune.api.identity import changed_fields, identity
from kubetune.api.status import Failure, Phase
from kubetune.controller.child import forgotten
from kubetune.controller.decision import CreateAttempt, Decision, DeleteChild, DeletePod
from kubetune.controller.observe import Observation
from kubetune.controller.policies.live import end_attempt
from kubetune.controller.policies.suspend import lingers
from kubetune.controller.retry import backoff_left, resume_candidates, why_no_retry
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import FailureClass

CHANGED_REMEDY = "restore it, or create a new job (resumeFrom starts one from this job's checkpoint)"


def idle_phase(observed: Observation) -> Phase:
    """Where a job stands while it waits for its next attempt."""
    return Phase.PENDING if observed.never_started else Phase.RESTARTING


def exhausted(observed: Observation, _settings: ControllerSettings, _now: datetime) -> Decision | None:
    """The last failure admits no other attempt (any more: backoffLimit may have been lowered since)."""
    attempt, failure = observed.attempt, observed.status.failure
    if observed.live or attempt is None or failure is None or attempt.reason != failure.failure_class.value:
        return None
    if observed.retry_wanted:
        return None
    return end_attempt(observed, failure) if why_no_retry(observed, failure) else None


def invalid_spec(observed: Observation, _settings: ControllerSettings, _now: datetime) -> Decision | None:
    """Failed if it never started, until a new generation comes; otherwise it waits for a valid spec."""
    if observed.live or observed.job is not None:
        return None
    if observed.never_started:
        return refuse(FailureClass.USER_ERROR, "InvalidSpec", observed.errors)
    return Decision(idle_phase(observed), "InvalidSpec", observed.errors, stalled=True)


def refuse(kind: FailureClass, reason: str, message: str) -> Decision:
    """Failed before the first attempt."""
    failure = Failure(failure_class=kind, reason=reason, message=message[:2000])
    return Decision(Phase.FAILED, reason, message, failure=failure, stalled=True)


def spec_change(observed: Observation) -> str | None:
    """What was changed though it is fixed since the first attempt started, and the remedy; None if nothing was."""
    if not observed.spec_changed or observed.job is None:
        return None
    made_from = observed.child.identity if observed.child else None
    fields = changed_fields(made_from, identity(observed.job)) if made_from else ()
    named = ", ".join(fields) or "what decides about the training (model, dataset, output, training, nodes, procsPerNode ...)"
    verb = "were" if len(fields) > 1 else "was"
    return f"{named} {verb} changed after the first attempt had started, and is refused; {CHANGED_REMEDY}"


def changed_spec(observed: Observation, _settings: ControllerSettings, _now: datetime) -> Decision | None:
    """The next attempt would train something else than the first."""
    change = None if observed.live else spec_change(observed)
    return Decision(idle_phase(observed), "SpecChanged", change, stalled=True) if change else None


def backoff(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    left = 0.0 if observed.live or observed.retry_wanted else backoff_left(observed, settings, now)
    if left <= 0 or observed.attempt is None:
        return None
    message = f"attempt {observed.attempt.number} ended ({observed.attempt.reason}); the next one starts after a back-off"
    return Decision(Phase.RESTARTING, "Backoff", message, requeue_after=left)


def upstream(observed: Observation, settings: ControllerSettings, _now: datetime) -> Decision | None:
    """resumeFrom.jobRef: its job must have Succeeded before this one's first attempt."""
    job = observed.upstream
    if observed.live or job is None or (job.phase is Phase.SUCCEEDED and job.checkpoint):
        return None
    if job.phase is Phase.FAILED:
        return refuse(
            FailureClass.USER_ERROR, "UpstreamFailed", f"spec.resumeFrom.jobRef: {job.name} has Failed; name a job that Succeeded"
        )
    state = f"is {job.phase or Phase.PENDING}" if job.exists else "does not exist; create it"
    message = f"waits for {job.name} (spec.resumeFrom.jobRef), which {state}"
    return Decision(idle_phase(observed), "WaitingForJob", message, requeue_after=settings.upstream_seconds)


def occupied(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """Somebody else's PyTorchJob bears the name that the next attempt needs: it is not touched, unless it is nobody's."""
    other = observed.occupant
    if observed.live or other is None:
        return None
    if other.remains or other.deleting:
        message = f"waits for the garbage collector: PyTorchJob {other.name} belongs to an earlier job of this name"
        missed = forgotten(other, observed.created, now, settings.forgotten_seconds)
        gone = (DeleteChild(other.name, other.uid, "its job is gone"),) if missed else ()
        return Decision(idle_phase(observed), "WaitingForCleanup", message, actions=gone, requeue_after=settings.leftover_seconds)
    message = f"PyTorchJob {other.name} exists and is not this job's: nothing was touched; delete it, then create this job again"
    return refuse(FailureClass.USER_ERROR, "NameTaken", message)


def stragglers(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """Pods of the last attempt still run: the next one would run beside them. A lost node's pods are not waited for.

    Those that nobody has told to stop though their PyTorchJob is gone (the garbage collector lags, or was told to leave them) are.
    """
    remaining = [pod for pod in observed.pods if lingers(pod, settings, now)]
    if observed.live or observed.attempt is None or not remaining:
        return None
    stop = tuple(
        DeletePod(p.name, p.uid, "its attempt has ended") for p in remaining if p.deletion is None and not observed.leftovers
    )
    message = f"waits for the pods of attempt {observed.attempt.number} to end: {', '.join(pod.name for pod in remaining[:3])}"
    return Decision(idle_phase(observed), "WaitingForPods", message, actions=stop, requeue_after=1)


def start(observed: Observation, settings: ControllerSettings, _now: datetime) -> Decision | None:
    """The next attempt, from the newest verified state."""
    if observed.live or observed.job is None:
        return None
    plan = CreateAttempt(observed.next_number, resume_candidates(observed, settings), model_uri(observed))
    if observed.job.spec.queue_name:
        message = f"attempt {plan.number} was put into queue {observed.job.spec.queue_name}"
        return Decision(Phase.QUEUED, "Queued", message, actions=(plan,), requeue_after=settings.leftover_seconds)
    origin = f" from {plan.resume_from[0]}" if plan.resume_from else ""
    message = f"attempt {plan.number} was started{origin}"
    return Decision(Phase.STARTING, "AttemptStarted", message, actions=(plan,), requeue_after=settings.poll_seconds)


def model_uri(observed: Observation) -> str | None:
    """What replaces spec.model.uri."""
    source = observed.job.spec.resume_from if observed.job else None
    if source is None:
        return None
    return observed.upstream.checkpoint.uri if observed.upstream and observed.upstream.checkpoint else source.uri
