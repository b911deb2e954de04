"""All that the page tells, out of what was read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any

from kubetune.api.status import Phase
from kubetune.report.attempts import KILLED, RUNNING, SUCCEEDED, Try, steps_of, tries_of
from kubetune.report.fates import Fate, fates, of_status
from kubetune.report.metrics import Step
from kubetune.report.sources import Material
from kubetune.report.timeline import Timeline, timeline
from kubetune.report.timespent import Spent, spent
from kubetune_trainer.checkpoints.ledger import Entry


@dataclass(frozen=True)
class Verdict:
    """In a word and a sentence. `tone`: good, bad or plain."""

    word: str
    tone: str
    sentence: str


@dataclass(frozen=True)
class Fault:
    """Something that went wrong at a moment, and was told."""

    time: datetime
    attempt: int
    title: str
    text: str


@dataclass(frozen=True)
class Story:
    """Of one job or run."""

    title: str
    subtitle: str
    verdict: Verdict
    tries: tuple[Try, ...]
    steps: tuple[Step, ...]  # each once
    total_steps: int | None
    fates: tuple[Fate, ...]
    faults: tuple[Fault, ...]
    timeline: Timeline | None
    spent: Spent | None
    data: Mapping[str, Any] | None = None
    asked: Mapping[str, Any] | None = None
    spec: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""
    torn_lines: int = 0

    @property
    def losses(self) -> list[float]:
        """Those that are finite."""
        return [step.loss for step in self.steps if step.loss is not None and isfinite(step.loss)]


def story_of(material: Material) -> Story:
    tries = tries_of(material)
    steps = steps_of(tries)
    told = fates(material.ledger.entries, material.pointer) or of_status(material.status.checkpoints)
    spans = [(each.began, each.ended) for each in tries if each.began and each.ended]
    last = material.seals[-1] if material.seals else None
    asked = next((note.asked for note in reversed(material.notes) if note.asked), None)
    return Story(
        title=title_of(material),
        subtitle=subtitle_of(material),
        verdict=verdict_of(material, tries, steps),
        tries=tuple(tries),
        steps=tuple(steps),
        total_steps=total_of(material, steps, asked),
        fates=tuple(told),
        faults=tuple(faults_of(tries)),
        timeline=timeline(spans),
        spent=spent(tries, material.status.goodput),
        data=material.data,
        asked=asked,
        spec=material.job.get("spec") if material.job else None,
        versions=last.versions if last else {},
        identity=identity_of(material),
        directory=str(material.directory or ""),
        torn_lines=material.ledger.unreadable,
    )


def title_of(material: Material) -> str:
    if material.job is not None:
        return str(material.job["metadata"]["name"])
    sealed = next((seal.job for seal in material.seals if seal.job), None)
    return sealed.name if sealed else (material.directory.name if material.directory else "")


def subtitle_of(material: Material) -> str:
    """What kind of thing it is."""
    if material.job is not None:
        return f"{material.job['kind']} in namespace {material.job['metadata'].get('namespace', 'default')}"
    sealed = next((seal.job for seal in material.seals if seal.job), None)
    if sealed is not None:
        return f"{sealed.kind} in namespace {sealed.namespace}, by its directory alone"
    return "a run of the library" if material.library else "a job, by its directory alone"


def identity_of(material: Material) -> dict[str, str]:
    """By what it can be told apart."""
    sealed = next((seal for seal in reversed(material.seals)), None)
    job = sealed.job if sealed else None
    metadata = material.job["metadata"] if material.job else {}
    known = {
        "UID": metadata.get("uid") or (job.uid if job else ""),
        "Spec hash": material.status.spec_hash or (job.spec_hash if job else ""),
        "Algorithm": sealed.algorithm if sealed else "",
        "Backend": sealed.backend if sealed else "",
        "Ranks": str(sealed.world_size) if sealed else "",
        "Directory": str(material.directory or ""),
    }
    return {name: text for name, text in known.items() if text}


def verdict_of(material: Material, tries: Sequence[Try], steps: Sequence[Step]) -> Verdict:
    """The resource's phase, if it is known; else what the last attempt said at its end."""
    status = material.status
    if status.phase is Phase.FAILED and status.failure is not None:
        failure = status.failure
        return Verdict(f"Failed: {failure.failure_class}", "bad", failure.message)
    last = tries[-1] if tries else None
    if status.phase is not None and status.phase is not Phase.SUCCEEDED:
        reason = next((c.message for c in reversed(status.conditions) if c.status == "True" and c.message), "")
        return Verdict(status.phase.value, "plain", reason or (last.message if last else ""))
    if last is None:
        return Verdict("Unknown", "plain", "no attempt has left anything to read")
    return verdict_of_last(last, steps)


def verdict_of_last(last: Try, steps: Sequence[Step]) -> Verdict:
    reached = f" The last step known is {steps[-1].step}." if steps else " It did no step."
    match last.verdict:
        case "Succeeded":
            return Verdict(SUCCEEDED, "good", last.message or "the last step was done and its checkpoint verified")
        case "Killed":
            text = "its last attempt said nothing of its end: it was killed, or runs still."
            return Verdict("Not ended", "plain", text + reached)
        case _:
            return Verdict(f"Failed: {last.verdict}", "bad", last.message + "." * (not last.message.endswith(".")) + reached)


def total_of(material: Material, steps: Sequence[Step], asked: Mapping[str, Any] | None) -> int | None:
    """As it was reported; else the epochs that were asked for, times the steps of one."""
    progress, outcome = material.status.progress, material.outcome
    if progress is not None and progress.total_steps:
        return progress.total_steps
    if outcome is not None and outcome.total_steps:
        return outcome.total_steps
    epochs = (asked or {}).get("parameters", {}).get("num_epochs")
    per_epoch = steps[-1].steps_per_epoch if steps else None
    return epochs * per_epoch if epochs and per_epoch else None


TITLES = {"quarantined": "checkpoint quarantined", "save-failed": "full state not saved", "refused": "full state refused"}


def faults_of(tries: Sequence[Try]) -> list[Fault]:
    """In the order of time: attempts that failed, and what was wrong with checkpoints."""
    found = [
        Fault(entry.time, each.number, TITLES[entry.event], fault_text(entry))
        for each in tries
        for entry in each.entries
        if entry.event in TITLES
    ]
    for place, each in enumerate(tries):
        alive = each.verdict == KILLED and place == len(tries) - 1
        if each.failed and each.ended and not alive:
            title = "attempt killed" if each.verdict == KILLED else f"attempt failed: {each.verdict}"
            found.append(Fault(each.ended, each.number, title, each.message or "it said nothing of its end"))
    return sorted(found, key=lambda fault: fault.time)


def fault_text(entry: Entry) -> str:
    what = entry.checkpoint or (f"step {entry.step}" if entry.step is not None else "")
    return ": ".join(filter(None, (what, entry.reason)))


__all__ = ["RUNNING", "Fault", "Story", "Verdict", "story_of"]
