"""Events tell what changed from one status to the next, each once. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from kubetune.api.status import Condition, JobStatus, Phase
from kubetune.controller.decision import SUCCEEDED, SUSPENDED


class JobEvent(NamedTuple):
    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def events(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    """For `kubectl describe`, in the order in which things happened."""
    yield from _validity(before, after)
    yield from _attempts(before, after)
    if after.phase != before.phase and after.phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.SUSPENDED):
        kind: Literal["Normal", "Warning"] = "Warning" if after.phase is Phase.FAILED else "Normal"
        yield JobEvent(kind, after.phase.value, _message(after, after.phase.value))


def _validity(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    old, new = _condition(before, "Valid"), _condition(after, "Valid")
    if (
        new
        and new.status == "False"
        and not (old and old.reason == new.reason and old.observed_generation == new.observed_generation)
    ):
        yield JobEvent("Warning", new.reason, new.message)


def _attempts(before: JobStatus, after: JobStatus) -> Iterator[JobEvent]:
    known = {attempt.number: attempt for attempt in before.attempts}
    for attempt in after.attempts:
        if attempt.number not in known:
            queued = after.phase is Phase.QUEUED
            reason, said = ("AttemptQueued", "was queued") if queued else ("AttemptStarted", "was started")
            origin = f"{', to go on' if queued else ''} from {attempt.resumed_from}" if attempt.resumed_from else ""
            yield JobEvent("Normal", reason, f"attempt {attempt.number} ({attempt.py_torch_job}) {said}{origin}")
        old = known.get(attempt.number)
        if attempt.queued is not None and not attempt.ended and old and old.queued is None:
            yield JobEvent("Normal", "Admitted", f"attempt {attempt.number} was admitted after {attempt.queued} s in its queue")
        if attempt.ended and not (old and old.ended) and attempt.reason not in (SUCCEEDED, SUSPENDED):
            yield JobEvent("Warning", "AttemptFailed", f"attempt {attempt.number}: {attempt.reason}: {attempt.message or ''}")


def _message(status: JobStatus, kind: str) -> str:
    condition = _condition(status, kind)
    return condition.message if condition and condition.message else kind


def _condition(status: JobStatus, kind: str) -> Condition | None:
    return next((c for c in status.conditions if c.type == kind), None)
