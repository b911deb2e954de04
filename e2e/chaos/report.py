"""The result as a Markdown table. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from e2e.chaos.history import CHILD, POD, History
from e2e.chaos.judge import CHECKS
from e2e.chaos.judge_events import excused_events
from e2e.chaos.trail import Finding, trails

BEGIN, END = "<!-- chaos: begin -->", "<!-- chaos: end -->"
SHOWN = 20


def table(history: History, findings: list[Finding]) -> str:
    """What was done, what came of it, and the verdict; ends with every finding (at most SHOWN)."""
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows(history, findings))]
    lines += [f"- {f.check}: {f.job}: {f.text}" for f in findings[:SHOWN]]
    return "\n".join(lines)


def rows(history: History, findings: list[Finding]) -> Iterator[tuple[str, object]]:
    facts, followed = history.facts, trails(history)
    phases = Counter(trail.phase if trail.exists else "deleted by its user" for trail in followed)
    ends = Counter(a.get("reason") for trail in followed for a in trail.attempts)
    yield "seed; seconds of faults", f"{facts['seed']}; {facts['seconds']}"
    yield "jobs, by what was planned", counted(facts["stories"])
    yield "jobs, by how they ended", counted(phases)
    yield "attempts, by how they ended", counted(ends)
    yield "restarts", sum(trail.last.status.get("restarts", 0) for trail in followed)
    yield (
        "PyTorchJobs, pods, writes seen in etcd",
        ", ".join(
            str(n) for n in (len({r.uid for r in history.of(CHILD)}), len({r.uid for r in history.of(POD)}), len(history.records))
        ),
    )
    yield "what was done", counted(Counter(name_of(a.what) for a in history.actions))
    yield "requests of the operator, and what they met", counted(facts["faults"])
    yield "terms of leaders", facts["terms"]
    yield "at rest after", f"{facts['settle_seconds']} s" if facts["settled"] else f"**not within {facts['settle_seconds']} s**"
    yield "events lost with the process that was to write them", sum(excused_events(history, trail) for trail in followed)
    found = Counter(finding.check for finding in findings)
    for check in [*CHECKS, *sorted(set(found) - set(CHECKS))]:
        yield f"**{check}**", f"**{found[check]}**"


def name_of(what: str) -> str:
    """Ends of pods by plan are one kind."""
    return what.split(":", maxsplit=1)[0]


def counted(counts: Mapping[str | None, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0]))))


def written_into(document: str, text: str) -> str:
    """The document with the text between its marks. Raises ValueError if it has none."""
    if BEGIN not in document or END not in document:
        raise ValueError(f"the report's file needs the lines {BEGIN} and {END}")
    head, rest = document.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}"
