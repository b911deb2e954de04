"""runPolicy.suspend: the live attempt is ended after its last words were read; no new one is started."""

from __future__ import annotations

from datetime import datetime, timedelta

from kubetune.api.status import Phase
from kubetune.controller.decision import SUSPENDED, SUSPENDING, AttemptEnd, Decision, DeleteChild
from kubetune.controller.observe import Observation
from kubetune.controller.pods import PodState
from kubetune.controller.settings import ControllerSettings


def suspend_wanted(observed: Observation) -> bool:
    return observed.job is not None and observed.job.spec.run_policy.effective_suspend


def suspending(observed: Observation) -> bool:
    """Begun, and to be finished even if `suspend` is taken back meanwhile: otherwise the attempt would count as lost."""
    condition = observed.condition("Suspended")
    return condition is not None and condition.reason == SUSPENDING and condition.status == "False"


def suspend(observed: Observation, settings: ControllerSettings, now: datetime) -> Decision | None:
    """In steps, each recorded before the next: say so, delete the child, wait for its pods' last words, call it suspended."""
    if not observed.live or not (suspend_wanted(observed) or suspending(observed)):
        return None
    phase = observed.status.phase or Phase.STARTING
    if not suspending(observed):
        return Decision(phase, SUSPENDING, "suspend was asked for", requeue_after=0)
    child = observed.child
    if child and not child.deleting:
        stop = DeleteChild(child.name, child.uid, "runPolicy.suspend")
        return Decision(phase, SUSPENDING, "the pods are told to stop", actions=(stop,), requeue_after=1)
    if any(lingers(pod, settings, now) for pod in observed.pods):
        return Decision(phase, SUSPENDING, "the pods are stopping", requeue_after=1)
    outcome = observed.outcome
    end = AttemptEnd(
        SUSPENDED,
        "stopped by runPolicy.suspend",
        exit_code=observed.master.exit_code if observed.master else None,
        resumed_from=outcome.resumed_from if outcome else None,
        last_step=observed.step,
    )
    return Decision(Phase.SUSPENDED, SUSPENDED, "runPolicy.suspend is true", ended=end, requeue_after=0)


def lingers(pod: PodState, settings: ControllerSettings, now: datetime) -> bool:
    """Still there and still to be waited for. A lost node's pods never go; where nobody says that it is lost, a bound does."""
    if pod.ended or pod.node_lost:
        return False
    return pod.deletion is None or now < pod.deletion + timedelta(seconds=settings.termination_slack_seconds)


def stay_suspended(observed: Observation, _settings: ControllerSettings, _now: datetime) -> Decision | None:
    """No attempt lives, and none is started."""
    if observed.live or not suspend_wanted(observed):
        return None
    return Decision(Phase.SUSPENDED, SUSPENDED, "runPolicy.suspend is true; set it to false to go on")
