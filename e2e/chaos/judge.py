"""Was any job lost, doubled, falsely Succeeded, miscounted or left behind? Pure: a history in, what is to be condemned out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from e2e.chaos import judge_status
from e2e.chaos.history import CHILD, ENDED_PHASES, POD, History, Record
from e2e.chaos.judge_events import doubled_events, lost_events
from e2e.chaos.trail import Finding, Trail, trails


def lost(history: History, trail: Trail) -> Iterator[str]:
    """A job ends, unless its user deleted it."""
    if trail.exists and trail.phase not in ENDED_PHASES:
        yield f"it stands at {trail.phase or 'nothing'} {history.facts.get('settle_seconds', '?')} s after the faults"
    if not trail.exists and not any(a.target == trail.name for a in history.did("delete job")):
        yield "it is gone, and nobody deleted it"


def doubled(_: History, trail: Trail) -> Iterator[str]:
    """Pods of two PyTorchJobs live at the same time, or two PyTorchJobs neither of which has ended or is going."""
    pods: dict[str, set[str]] = defaultdict(set)  # by gang: the PyTorchJob's UID
    gangs: set[str] = set()
    told: set[str] = set()
    for record in trail.records:
        if record.kind == POD:
            (pods[record.owner].add if record.live else pods[record.owner].discard)(record.uid)
        elif record.kind == CHILD:
            (gangs.add if goes_on(record) else gangs.discard)(record.uid)
        live = {gang for gang, members in pods.items() if members}
        for what, seen in (("gangs of pods", live), ("PyTorchJobs", gangs)):
            if len(seen) > 1 and what not in told:
                told.add(what)
                yield f"{len(seen)} {what} live at the same time at {record.time:.1f} s (revision {record.revision}, {record.name})"


def goes_on(child: Record) -> bool:
    ended = {c["type"] for c in child.status.get("conditions") or [] if c["status"] == "True"} & {"Succeeded", "Failed"}
    return not (child.deleted or child.deleting or ended)


def false_success(_: History, trail: Trail) -> Iterator[str]:
    """The master of the last attempt said that it reached the end, with a verified checkpoint and exit code 0."""
    if trail.phase != "Succeeded":
        return
    number = trail.attempts[-1]["number"] if trail.attempts else 0
    ends = [r for r in trail.records if r.kind == POD and r.master and r.attempt == number and r.terminated.get("exitCode") == 0]
    words = " ".join(str(r.terminated.get("message", "")) for r in ends)
    if not ('"reachedEnd": true' in words and f'"attempt": {number}' in words and '"verified": true' in words):
        yield f"Succeeded with attempt {number}, whose master did not say so"


def unaccounted(history: History, trail: Trail) -> Iterator[str]:
    """Every PyTorchJob stands in status.attempts, each made once, or is covered by the bound of the list."""
    listed = [a["pyTorchJob"] for a in trail.attempts]
    made: dict[str, list[Record]] = defaultdict(list)
    for record in trail.records:
        if record.kind == CHILD and not record.deleted and all(record.uid != r.uid for r in made[record.name]):
            made[record.name].append(record)
    first = trail.attempts[0]["number"] if trail.attempts else 1
    for name, records in made.items():
        last = records[-1]
        if name not in listed and last.attempt >= first and not (trail.ended_at is not None and last.attempt == trail.next_number):
            yield f"PyTorchJob {name} is in no attempt"
        if len(records) > 1 and not all(removed_unrecorded(history, trail, r) for r in records[:-1]):
            yield f"PyTorchJob {name} was made {len(records)} times"
    yield from (f"attempt {name} had no PyTorchJob" for name in listed if name not in made)


def removed_unrecorded(history: History, trail: Trail, child: Record) -> bool:
    """Deleted by hand before any status told of it: then nobody can know of it."""
    recorded = next(
        (r.revision for r in trail.statuses if child.name in [a["pyTorchJob"] for a in r.status.get("attempts", [])]), None
    )
    gone = next((r.revision for r in trail.records if r.uid == child.uid and (r.deleted or r.deleting)), None)
    by_hand = any(a.target == child.name for a in history.did("delete child"))
    return by_hand and gone is not None and (recorded is None or gone < recorded)


def orphans(_: History, trail: Trail) -> Iterator[str]:
    """Nothing is left of what no longer belongs to a live or the last attempt."""
    there = {r.uid: r for r in trail.records if r.kind in (CHILD, POD)}
    left = [r for r in there.values() if not r.deleted]
    if not trail.exists:
        yield from (f"{r.kind} {r.name} outlived its job" for r in left)
        return
    last = trail.attempts[-1]["number"] if trail.attempts else 0
    yield from (f"{r.kind} {r.name} is left of attempt {r.attempt}, the last is {last}" for r in left if r.attempt != last)
    if trail.phase in ENDED_PHASES:
        yield from (f"pod {r.name} runs on, though the job is {trail.phase}" for r in left if r.kind == POD and r.live)


CHECKS: dict[str, Callable[[History, Trail], Iterator[str]]] = {
    "lost": lost,
    "run twice at once": doubled,
    "Succeeded falsely": false_success,
    "attempt unaccounted": unaccounted,
    "restarts miscounted": judge_status.miscounted,
    "failed without a cause": judge_status.without_cause,
    "transition lost or undone": judge_status.broken_transitions,
    "orphan": orphans,
    "event doubled": doubled_events,
    "event lost": lost_events,
}
"""What each is called in the table, in its order."""


def judge(history: History) -> list[Finding]:
    """Everything to be condemned; nothing if all is well."""
    followed = trails(history)
    findings = [Finding(what, t.name, text) for what, check in CHECKS.items() for t in followed for text in check(history, t)]
    missing = {p for p in history.facts.get("planned", []) if p not in {t.name for t in followed}}
    findings += [Finding("lost", name, "it was never created") for name in sorted(missing)]
    return findings + [Finding("bug in the log", "-", text) for text in history.facts.get("bugs", [])]
