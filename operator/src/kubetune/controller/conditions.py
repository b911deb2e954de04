"""The job's conditions, as `kubectl wait`, kstatus and GitOps tools read them. Pure.

Reconciling and Stalled follow kstatus (sigs.k8s.io/cli-utils, pkg/kstatus): True means in progress, and stuck or failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from kubetune.api.status import MAX_REASON, Condition, Failure, Phase
from kubetune.controller.bounds import clip
from kubetune.controller.decision import SUSPENDING, Decision
from kubetune.controller.observe import Observation
from kubetune.controller.policies.start import spec_change

MESSAGE_BYTES = 1024
AT_REST = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SUSPENDED})
WITH_PODS = frozenset({Phase.STARTING, Phase.RUNNING})


MEANINGS = {
    "Valid": "The spec can be trained, and is what the first attempt was started with. False: InvalidSpec or SpecChanged.",
    "Admitted": "An attempt was let in by its queue, or needed none. At the end it stays as it was.",
    "Running": "The master runs. Its reason says what the job does or waits for, whatever the phase.",
    "Suspended": "runPolicy.suspend stopped it. Suspending, while False: the pods are being stopped.",
    "Succeeded": "The trainer reached the last step and its checkpoint was verified.",
    "Failed": "No other attempt follows unless somebody asks for one (`kubetune retry`). The reason is the failure's class.",
    "Reconciling": "The operator works towards the spec (kstatus: InProgress).",
    "Stalled": "Nothing happens until somebody changes something (kstatus: Failed).",
}
"""Every condition is always there, True or False."""


class Claim(NamedTuple):
    """A condition without its history."""

    type: str
    holds: bool
    reason: str
    message: str = ""


def conditions(observed: Observation, decision: Decision, failure: Failure | None, now: datetime) -> tuple[Condition, ...]:
    """All of them, always, in one order; lastTransitionTime moves only with status."""
    before = {condition.type: condition for condition in observed.status.conditions}
    claims = (valid(observed), *claims_of_phase(decision, failure, before))
    return tuple(_condition(claim, before.get(claim.type), observed.generation, now) for claim in claims)


def valid(observed: Observation) -> Claim:
    """What the spec is worth; a running attempt goes on whatever it says."""
    if observed.job is None:
        return Claim("Valid", holds=False, reason="InvalidSpec", message=observed.errors)
    change = spec_change(observed)
    if change:
        said = observed.condition("Valid")  # while the child was there it named the fields
        same = said and said.reason == "SpecChanged" and said.observed_generation == observed.generation
        return Claim("Valid", holds=False, reason="SpecChanged", message=said.message if said and same else change)
    return Claim("Valid", holds=True, reason="Valid")


def claims_of_phase(decision: Decision, failure: Failure | None, before: dict[str, Condition]) -> Iterable[Claim]:
    phase, reason, message = decision.phase, decision.reason, decision.message
    failed = phase is Phase.FAILED
    stopping = "Suspending" if reason == SUSPENDING else "NotSuspended"
    yield admitted(decision, before.get("Admitted"))
    yield Claim("Running", phase is Phase.RUNNING, reason, message)
    yield Claim("Suspended", phase is Phase.SUSPENDED, "Suspended" if phase is Phase.SUSPENDED else stopping)
    yield Claim("Succeeded", phase is Phase.SUCCEEDED, _end(phase), message if phase is Phase.SUCCEEDED else "")
    yield Claim("Failed", failed, failure.failure_class.value if failed and failure else _end(phase), message if failed else "")
    yield Claim("Reconciling", phase not in AT_REST and not decision.stalled, reason, message)
    yield Claim("Stalled", decision.stalled, reason if decision.stalled else "NotStalled", message if decision.stalled else "")


def _end(phase: Phase) -> str:
    return phase.value if phase.finished else "NotFinished"


def admitted(decision: Decision, before: Condition | None) -> Claim:
    """Whether the queue (Kueue, if the job names one) let the attempt start; at the end it stays as it was."""
    if decision.phase in WITH_PODS:
        return Claim("Admitted", holds=True, reason="Admitted")
    if decision.phase.finished and before is not None:
        return Claim("Admitted", before.status == "True", before.reason, before.message)
    if decision.phase is Phase.QUEUED:
        return Claim("Admitted", holds=False, reason=decision.reason, message=decision.message)
    return Claim("Admitted", holds=False, reason=decision.phase.value)


def _condition(claim: Claim, before: Condition | None, generation: int, now: datetime) -> Condition:
    status: Literal["True", "False"] = "True" if claim.holds else "False"
    same = before is not None and before.status == status
    return Condition(
        type=claim.type,
        status=status,
        reason=clip(claim.reason, MAX_REASON) or "Unknown",
        message=clip(claim.message, MESSAGE_BYTES),
        observed_generation=generation,
        last_transition_time=before.last_transition_time if same and before else now,
    )
