"""Events tell what a user must learn of and no status field alone would draw his eye to: each transition once. Pure.

The ordinary is not told: an undisturbed job has one event, its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from kubetune.api.status import Attempt, Condition, JobStatus, Phase
from kubetune.controller.decision import SUCCEEDED, SUSPENDED

Kind = Literal["Normal", "Warning"]

PHASES: dict[Phase, Kind] = {Phase.SUCCEEDED: "Normal", Phase.FAILED: "Warning", Phase.SUSPENDED: "Normal"}
"""Told when they are entered."""

ORDINARY = frozenset(
    {
        "AttemptStarted",
        "Queued",
        "Pending",
        "Starting",
        "Running",
        "Backoff",
        "WaitingForPods",
        "PodFailed",
        "EvictedByKueue",
        "Suspending",
        "InvalidSpec",
        "SpecChanged",
    }
)
"""Reasons of a waiting or running job that are no news, or that another event tells."""

PLANNED = frozenset({"WaitingForJob", "WaitingForCleanup"})
"""Waits that nobody need do anything about. Every other one is a warning: the cluster refuses something, or lacks it."""


MEANINGS: dict[str, tuple[Kind, str]] = {
    "InvalidSpec": ("Warning", "The spec cannot be trained: field, value and remedy. Once a generation."),
    "SpecChanged": ("Warning", "What is trained was changed after the first attempt had started. Once a generation."),
    "AttemptFailed": ("Warning", "An attempt ended in a failure (crash, hang, lost node, preemption ...): its class and message."),
    "Restarted": ("Normal", "Another attempt follows a failed one, and the checkpoint from which it goes on."),
    "Resumed": ("Normal", "Another attempt follows a suspension, and the checkpoint from which it goes on."),
    "Queued": ("Normal", "An attempt waits for its queue. Once an attempt, as all that follow here."),
    "Admitted": ("Normal", "Its queue let the attempt start, and after how long."),
    "WaitingForJob": ("Normal", "It waits for the job that resumeFrom.jobRef names."),
    "WaitingForCleanup": ("Normal", "It waits until the garbage collector has removed an earlier job of the same name."),
    "Unschedulable": ("Warning", "No node takes one of its pods, in the scheduler's words."),
    "WaitingForTrainingOperator": (
        "Warning",
        "A retry's PyTorchJob is there, and the training operator has not taken note of it for 30 s.",
    ),
    "PodsRefused": ("Warning", "The cluster does not let its pods be created (quota, admission ...), in the cluster's words."),
    "CreateFailed": ("Warning", "The cluster refuses its PyTorchJob (quota, webhook, missing CRD ...), in the cluster's words."),
    "DeleteFailed": ("Warning", "The cluster refuses to delete what an ended attempt left."),
    "Succeeded": ("Normal", "Its end: the last step and the verified checkpoint."),
    "Failed": ("Warning", "Its end: what went wrong, and why there is no other attempt."),
    "Suspended": ("Normal", "runPolicy.suspend stopped it."),
}
"""Beside these, what a container waits for, by the kubelet's own name (ImagePullBackOff ...): a warning."""


class JobEvent(NamedTuple):
    """Together with the job and the reason, `once` names the event: published twice, it still is one."""

    kind: Kind
    reason: str
    message: str
    once: str


def events(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    """For `kubectl describe`, in the order in which things happened."""
    yield from _validity(before, after)
    yield from _attempts(before, after)
    yield from _waits(before, after)
    kind = PHASES.get(after.phase) if after.phase and after.phase != before.phase else None
    if kind and after.phase:
        yield JobEvent(kind, after.phase.value, _message(after, after.phase.value), _place(after))


def _validity(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    """Once a generation."""
    old, new = _condition(before, "Valid"), _condition(after, "Valid")
    if (
        new
        and new.status == "False"
        and not (old and old.reason == new.reason and old.observed_generation == new.observed_generation)
    ):
        yield JobEvent("Warning", new.reason, new.message, f"generation {new.observed_generation}")


def _attempts(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    known = {attempt.number: attempt for attempt in before.attempts}
    last = None
    for attempt in after.attempts:
        old = known.get(attempt.number)
        if after.phase is Phase.QUEUED and not attempt.ended and (old is None or before.phase is not Phase.QUEUED):
            yield _queued(attempt)
        elif old is None and attempt.number > 1:
            yield _restart(last, attempt)
        if attempt.queued is not None and not attempt.ended and old and old.queued is None:
            message = f"attempt {attempt.number} was admitted after {attempt.queued} s in its queue"
            yield JobEvent("Normal", "Admitted", message, f"attempt {attempt.number}")
        if attempt.ended and not (old and old.ended) and attempt.reason not in (SUCCEEDED, SUSPENDED):
            message = f"attempt {attempt.number}: {attempt.reason}: {attempt.message or ''}"
            yield JobEvent("Warning", "AttemptFailed", message, f"attempt {attempt.number}")
        last = attempt


def _queued(attempt: Attempt) -> JobEvent:
    origin = f", to go on from {attempt.resumed_from}" if attempt.resumed_from else ""
    message = f"attempt {attempt.number} ({attempt.py_torch_job}) was queued{origin}"
    return JobEvent("Normal", "Queued", message, f"attempt {attempt.number}")


def _restart(last: Attempt | None, attempt: Attempt) -> JobEvent:
    origin = f"from {attempt.resumed_from}" if attempt.resumed_from else "from the beginning: there is no checkpoint to go on from"
    reason = "Resumed" if last and last.reason == SUSPENDED else "Restarted"
    message = f"attempt {attempt.number} ({attempt.py_torch_job}) was started {origin}"
    return JobEvent("Normal", reason, message, f"attempt {attempt.number}")


def _waits(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    """What an unfinished job waits for, when that is another thing than before."""
    old, new = _condition(before, "Running"), _condition(after, "Running")
    if new is None or after.phase in PHASES or new.reason in ORDINARY or (old and old.reason == new.reason):
        return
    ended = after.attempts and after.attempts[-1].ended
    if ended and after.failure and after.failure.reason == new.reason:
        return  # no wait: AttemptFailed told it
    yield JobEvent("Normal" if new.reason in PLANNED else "Warning", new.reason, new.message, _place(after))


def _place(status: JobStatus) -> str:
    """Of a wait or a phase, which may come again in another attempt, or under another spec."""
    return f"attempt {status.attempts[-1].number if status.attempts else 0} generation {status.observed_generation}"


def _message(status: JobStatus, kind: str) -> str:
    condition = _condition(status, kind)
    return condition.message if condition and condition.message else kind


def _condition(status: JobStatus, kind: str) -> Condition | None:
    return next((c for c in status.conditions if c.type == kind), None)
