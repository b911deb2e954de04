"""python -m e2e.dashboard [--jobs N] [--seconds S] [--write FILE]: see docs/observability.md"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from e2e import marked
from e2e.cluster.control_plane import LOOPBACK, ControlPlane
from e2e.dashboard import burst, prometheus
from e2e.dashboard.prometheus import Prometheus
from e2e.dashboard.questions import ALERTS, Answer, Question, questions, rules, table
from e2e.dashboard.stage import REPLICAS, cluster, start_operator

BEGIN, END = "<!-- dashboard-check: begin -->", "<!-- dashboard-check: end -->"
AFTERWARDS_SECONDS = 5
"""Scrapes after the last job's end."""


@dataclass(frozen=True)
class Result:
    """What a check has seen."""

    phases: Counter[str]
    seconds: float
    answers: list[Answer]
    unwell: list[str]
    """Rules that Prometheus could not evaluate, and why."""

    firing: list[str]

    @property
    def good(self) -> bool:
        return not self.unwell and all(answer.good for answer in self.answers)


def main() -> int:
    given = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    prometheus.require_program()
    with tempfile.TemporaryDirectory(prefix="kubetune-dashboard-") as name, cluster(Path(name) / "cluster") as plane:
        result = check(plane, given.jobs, given.seconds, given.limit)
    text = report(result)
    print(text)
    if given.write:
        marked.write(given.write, (BEGIN, END), text)
    return 0 if result.good else 1


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m e2e.dashboard", description="Asks a real Prometheus every query that we ship.")
    add = parser.add_argument
    add("--jobs", type=int, default=12, help="created at once; a third as many that fail come along (12)")
    add("--seconds", type=float, default=20.0, help="how long a training lasts (20)")
    add("--limit", type=float, default=300.0, help="seconds after which all jobs must be over (300)")
    add("--write", type=Path, help="a Markdown file with a place for the result")
    return parser.parse_args()


def check(plane: ControlPlane, jobs: int, seconds: float, limit: float) -> Result:
    burst.prepare(plane, seconds)
    targets = [f"{LOOPBACK}:{start_operator(plane, name)}" for name in REPLICAS]
    asked = prometheus.run(plane.folder, targets, ALERTS)
    begin = time.time()
    phases = burst.run(plane.kubeconfig, jobs, limit)
    took = time.time() - begin
    time.sleep(AFTERWARDS_SECONDS)
    answers = [answered(asked, question, begin) for question in questions()]
    known = asked.rules()
    unwell = [f"{rule['name']}: {rule.get('lastError') or rule['health']}" for rule in known if rule["health"] != "ok"]
    missing = sorted({rule["alert"] for rule in rules()} - {rule["name"] for rule in known})
    firing = sorted(rule["name"] for rule in known if rule["state"] == "firing")
    return Result(phases, took, answers, unwell + [f"{name}: not loaded" for name in missing], firing)


def answered(asked: Prometheus, question: Question, begin: float) -> Answer:
    try:
        return Answer(question, asked.series(question.expr, begin, time.time()))
    except ValueError as error:
        return Answer(question, error=str(error))


def report(result: Result) -> str:
    """Markdown."""
    phases = ", ".join(f"{count} {phase}" for phase, count in sorted(result.phases.items()))
    wrong = sum(not answer.good for answer in result.answers)
    firing = ", ".join(result.firing) or "none"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}: {sum(result.phases.values())} jobs ({phases}) in {result.seconds:.0f} s.",
        f"{len(result.answers)} queries, {wrong} not as they should be. {len(rules())} rules, {len(result.unwell)} unwell.",
        f"Alerts that fired in the end: {firing}.",
        *(f"- {each}" for each in result.unwell),
        "",
        table(result.answers),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
