"""The judge on the status itself: what it counts, why attempts ended, and that nothing is taken back. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from e2e.chaos.history import ENDED_PHASES, POD, History
from e2e.chaos.trail import Trail
from kubetune_trainer.contract import NOT_RETRYABLE

UNCOUNTED = ("Suspended", "Preempted")
MAX_ATTEMPTS = 20


def miscounted(_: History, trail: Trail) -> Iterator[str]:
    """Attempts are numbered without a gap, restarts are those that followed a fault, and the limit holds."""
    numbers, restarts = [a["number"] for a in trail.attempts], trail.last.status.get("restarts", 0)
    wanted = list(range(1, len(numbers) + 1)) if len(numbers) < MAX_ATTEMPTS else list(range(numbers[0], numbers[0] + MAX_ATTEMPTS))
    if numbers != wanted:
        yield f"attempts are numbered {numbers}"
    counted = sum(1 for a in trail.attempts[:-1] if a.get("reason") not in UNCOUNTED)
    if len(numbers) < MAX_ATTEMPTS and restarts != counted:
        yield f"restarts is {restarts}, the attempts say {counted}"
    limit = trail.last.object["spec"]["runPolicy"].get("backoffLimit")
    if limit is not None and restarts > limit:
        yield f"{restarts} restarts, backoffLimit is {limit}"
    failure = trail.last.status.get("failure", {}).get("class")
    if trail.phase == "Failed" and failure not in NOT_RETRYABLE and restarts != limit:
        yield f"Failed ({failure}) after {restarts} restarts of {limit}"


def without_cause(history: History, trail: Trail) -> Iterator[str]:
    """Each attempt that failed had something done to it: a pod that ended, or a pod or the child that was deleted."""
    ended = {r.attempt for r in trail.records if r.kind == POD and r.terminated}
    done = {a.target for a in history.did("delete pod", "delete child")}
    suspended = {a.target for a in history.did("suspend")}
    for attempt in trail.attempts:
        child, reason = attempt["pyTorchJob"], attempt.get("reason")
        if reason == "Suspended" and trail.name not in suspended:
            yield f"attempt {attempt['number']} was suspended by nobody"
        if reason in (None, "Succeeded", "Suspended"):
            continue
        by_hand = child in done or any(target.startswith(f"{child}-") for target in done)
        if not by_hand and (attempt["number"] not in ended or reason == "ChildLost"):
            yield f"attempt {attempt['number']} ended as {reason}: {attempt.get('message')}"


def broken_transitions(_: History, trail: Trail) -> Iterator[str]:
    """From each version of the status to the next: what was said stays said."""
    for before, after in pairwise(trail.statuses):
        if after.deleted:
            return
        yield from (f"{text} (revision {after.revision})" for text in _undone(before.status, after.status))
    open_ends = [a["number"] for a in trail.attempts if "ended" not in a]
    if trail.phase in ENDED_PHASES and open_ends:
        yield f"{trail.phase}, but attempts {open_ends} have no end"


def _undone(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old = {a["number"]: a for a in before.get("attempts") or []}
    new = {a["number"]: a for a in after.get("attempts") or []}
    for number, attempt in old.items():
        if number not in new and len(new) < MAX_ATTEMPTS:
            yield f"attempt {number} vanished"
        elif number in new and "ended" in attempt and new[number] != attempt:
            yield f"attempt {number} changed after its end"
    if len(set(new) - set(old)) > 1:
        yield f"attempts {sorted(set(new) - set(old))} came at once"
    if any(
        "ended" not in old[number] and "ended" not in new.get(number, {"ended": ""})
        for number in old
        if number != max(new, default=0)
    ):
        yield "an attempt was followed by another one before it had ended"
    if after.get("restarts", 0) < before.get("restarts", 0):
        yield f"restarts went from {before['restarts']} to {after.get('restarts', 0)}"
    if before.get("phase") in ENDED_PHASES and after.get("phase") != before["phase"]:
        yield f"{before['phase']} became {after.get('phase')}"
