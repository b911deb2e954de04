"""All rules, and the order of what they found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kubetune.api.status import Phase
from kubetune.explain import failures, pods, running, waiting
from kubetune.explain.commands import Commands
from kubetune.explain.evidence import Evidence
from kubetune.explain.finding import ORDER, Finding, Severity
from kubetune.explain.words import last_line

Rule = Callable[[Evidence, Commands], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    *waiting.RULES,
    failures.failed,
    pods.starting,
    running.succeeded,
    running.standing_still,
    running.before_the_first_step,
    running.repeated_failures,
    running.lost_time,
    running.training,
)
"""Each says what it can say; the causes come before their consequences."""


def explain(evidence: Evidence, commands: Commands) -> list[Finding]:
    """The findings, what somebody must do first; at least one."""
    found = [finding for rule in RULES for finding in rule(evidence, commands)]
    return sorted(found, key=lambda each: ORDER.index(each.severity)) or [nothing_known(evidence, commands)]


def nothing_known(evidence: Evidence, commands: Commands) -> Finding:
    phase = evidence.status.phase or Phase.PENDING
    said = [evidence.message] if evidence.message else []
    said += [
        f"event {event.reason} of {event.about or 'the job'}: {last_line(event.message)}" for event in evidence.warnings()[-3:]
    ]
    return Finding(
        Severity.WAITING,
        evidence.reason or phase.value,
        f"it is {phase.value}",
        tuple(said),
        "wait some seconds, and look again",
        commands.pods(),
    )
