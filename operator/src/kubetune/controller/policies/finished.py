"""A finished job: nothing is ever created again; what is left of it is tidied up when its policy says so."""

from __future__ import annotations

from datetime import datetime

from kubetune.api.policies import RunPolicy
from kubetune.api.status import Phase
from kubetune.controller.decision import Action, Decision, DeleteChild, DeleteJob, DeletePod
from kubetune.controller.observe import Observation
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import FailureClass

STOPPED_BY_US = frozenset({FailureClass.DEADLINE_EXCEEDED, FailureClass.HANG})
"""Failures of pods that run on, by definition: they are stopped even where pods are to stay."""


def finished(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """Succeeded and Failed are final, but for a job that never started because of its spec, which may be mended.

    And for one that Failed and that somebody asks to be tried once more.
    """
    status = observed.status
    if status.phase is None or not status.phase.finished or may_be_mended(observed):
        return None
    if status.phase is Phase.FAILED and observed.retry_wanted:
        return None
    policy = observed.job.spec.run_policy if observed.job else RunPolicy()
    wait = seconds_to_live(observed, policy, now)
    expired = wait is not None and wait <= 0
    patience = patience_left(observed, settings, now)
    actions = remove_all(observed, policy) if expired else clean_pods(observed, policy) if patience <= 0 else ()
    due = [seconds for seconds in (wait, patience) if seconds is not None and seconds > 0]
    requeue = None if expired or not due else min(due)
    reason, message = said_at_the_end(observed, status.phase)
    return Decision(status.phase, reason, message, actions=actions, stalled=status.phase is Phase.FAILED, requeue_after=requeue)


def said_at_the_end(observed: Observation, phase: Phase) -> tuple[str, str]:
    """(reason, message) of the decision that finished the job: they stay."""
    running, final = observed.condition("Running"), observed.condition(phase.value)
    return running.reason if running else phase.value, final.message if final else ""


def may_be_mended(observed: Observation) -> bool:
    """Failed before the first attempt: a new generation of the spec is looked at afresh."""
    return observed.never_started and observed.status.observed_generation != observed.generation


def patience_left(observed: Observation, settings: ControllerSettings, now: datetime) -> float:
    """Seconds for which pods that still run may end by themselves; 0 or less where none does, or the job has Failed."""
    end = observed.status.completion_time
    if observed.status.phase is not Phase.SUCCEEDED or end is None or all(pod.ended for pod in observed.pods):
        return 0.0
    return settings.straggler_seconds - (now - end).total_seconds()


def seconds_to_live(observed: Observation, policy: RunPolicy, now: datetime) -> float | None:
    """Until ttlSecondsAfterFinished has passed; None without one."""
    ttl, end = policy.ttl_seconds_after_finished, observed.status.completion_time
    return None if ttl is None or end is None else ttl - (now - end).total_seconds()


def remove_all(observed: Observation, policy: RunPolicy) -> tuple[Action, ...]:
    children = tuple(DeleteChild(c.name, c.uid, "ttlSecondsAfterFinished has passed") for c in observed.leftovers)
    return (*children, DeleteJob("ttlSecondsAfterFinished has passed")) if policy.effective_delete_job else children


def clean_pods(observed: Observation, policy: RunPolicy) -> tuple[Action, ...]:
    """Only now that the outcome stands in the status."""
    clean = policy.effective_clean_pod_policy
    if clean == "All":
        return tuple(DeleteChild(c.name, c.uid, "cleanPodPolicy: All") for c in observed.leftovers)
    failure = observed.status.failure
    if clean == "None" and not (failure and failure.failure_class in STOPPED_BY_US):
        return ()
    running = (pod for pod in observed.pods if not pod.ended and pod.deletion is None)
    return tuple(DeletePod(pod.name, pod.uid, "its job is finished") for pod in running)
