"""Dashboard and alerts speak of what the operator exports, and each alert says what to do. promtool's own tests, where it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from dashboard import CLASSES
from dashboard import PHASES as COLOURED
from fake_cluster import job
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from promql import Matcher, Named, named

from kubetune.api import KINDS
from kubetune.controller.known_jobs import ENDS, OTHER, PHASES, KnownJobs, seen
from kubetune.controller.kubernetes_api import Request
from kubetune.controller.metrics import RESOURCES, Metrics

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "kubetune.json").read_text())
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OF_THE_SCRAPE = {"job", "instance"}
WORDS = {
    "kind": set(KINDS),
    "phase": set(PHASES),
    "class": {*ENDS, OTHER, ""},
    "result": {"ok", "error"},
    "resource": {*RESOURCES, *(f"{each}/status" for each in RESOURCES), "other"},
    "code": {"0", "200", "201", "403", "404", "409", "422", "429", "500", "503"},
}
"""What values a label takes, where they are known."""


def queries() -> list[tuple[str, str]]:
    of_panels = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
    return of_panels + [(rule["alert"], rule["expr"]) for rule in RULES]


def exported() -> dict[str, set[str]]:
    """Each series' name and labels as a scrape shows them, of a registry in which everything has happened once."""
    status = {
        "phase": "Running",
        "restarts": 1,
        "attempts": [{"number": 1, "ended": "2026-01-01T00:01:00Z", "reason": "CudaOOM"}, {"number": 2}],
        "progress": {"step": 1, "totalSteps": 2, "updatedTime": "2026-01-01T00:02:00Z"},
    }
    body = job() | {"status": status}
    first = job() | {
        "status": {
            "attempts": [{"number": 1}],
            "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": "2026-01-01T00:00:01Z"}],
        }
    }
    jobs = KnownJobs()
    jobs.update("1", seen("SFTJob", body))
    metrics = Metrics(jobs, lambda: datetime(2026, 1, 2, tzinfo=UTC))
    metrics.changed(None, seen("SFTJob", first))
    metrics.changed(None, seen("SFTJob", body))
    metrics.answered(Request("PATCH", "/api/v1/namespaces/a/pods/b"), 200)
    metrics.reconciles.labels("SFTJob", "ok").observe(0.1)
    text = generate_latest(metrics.registry).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


EXPORTED = exported()


def strangers(of: Named) -> Iterator[str]:
    """What the operator does not export."""
    for metric, matchers in of.metrics.items():
        labels = EXPORTED.get(metric)
        if labels is None:
            yield metric
            continue
        yield from (f"{metric}{{{each.label}}}" for each in matchers if each.label not in labels | OF_THE_SCRAPE)
        yield from (f"{metric}{{{each.label}{each.sign}{each.value!r}}}" for each in matchers if matches_nothing(each))
    known = OF_THE_SCRAPE.union(*(EXPORTED.get(metric, set()) for metric in of.metrics))
    yield from (f"by ({label})" for label in of.labels - known)


def matches_nothing(matcher: Matcher) -> bool:
    """Of a label whose words are known: one of those asked for is none of them, or cannot be told."""
    words = WORDS.get(matcher.label)
    if words is None or matcher.value.startswith("$"):
        return False
    alternatives = matcher.value.split("|") if "~" in matcher.sign else [re.escape(matcher.value)]
    return not all(any(re.fullmatch(each, word) for word in words) for each in alternatives)


@pytest.mark.parametrize(("where", "expression"), queries())
def test_a_query_names_only_what_the_operator_exports(where: str, expression: str) -> None:
    of = named(expression)
    assert of.metrics, f"{where} asks for nothing"
    assert list(strangers(of)) == []


@pytest.mark.parametrize(
    ("expression", "stranger"),
    [
        ("sum(kubetune_job)", ["kubetune_job"]),
        ("rate(kubetune_job_attempts[5m])", ["kubetune_job_attempts"]),
        ('kubetune_jobs{fase="Failed"}', ["kubetune_jobs{fase}"]),
        ('kubetune_jobs{phase=~"Failed|Lost"}', ["kubetune_jobs{phase=~'Failed|Lost'}"]),
        ("sum by (pod) (kubetune_jobs)", ["by (pod)"]),
        ("kubetune_jobs and on (node) kubetune_leader", ["by (node)"]),
        ('1 - max by (kind) (kubetune_jobs{class="CudaOOM"} offset 5m) / 3e2 or vector(0)', []),
        ("histogram_quantile(0.9, sum by (le) (rate(kubetune_reconcile_seconds_bucket[$__range])))", []),
    ],
)
def test_a_query_of_something_else_would_be_seen(expression: str, stranger: list[str]) -> None:
    assert list(strangers(named(expression))) == stranger


def test_every_metric_of_kubetunes_own_is_asked_for_somewhere() -> None:
    asked = {metric for _, expression in queries() for metric in named(expression).metrics}
    families = {re.sub(r"_(bucket|sum|count|total|created)$", "", name) for name in EXPORTED if name.startswith("kubetune_")}
    assert {name for name in families if not any(metric.startswith(name) for metric in asked)} == set()


def test_the_dashboard_has_its_rows_and_no_panel_lies_on_another() -> None:
    assert [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"] == ["Fleet", "One job", "Operator health"]
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in combinations(places, 2) if overlap(*pair)] == []
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(one[a] < other[a] + other[size] and other[a] < one[a] + one[size] for a, size in (("x", "w"), ("y", "h")))


def test_the_dashboards_variables_are_the_ones_that_its_queries_use() -> None:
    declared = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert {name for name in used if not name.startswith("__")} == declared
    assert {name for name in used if name.startswith("__")} <= {"__all", "__range", "__rate_interval"}
    for each in DASHBOARD["templating"]["list"][1:]:
        metric = re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]["query"])
        assert metric, each
        assert list(strangers(named(metric[1]))) == []


def test_every_phase_and_every_class_has_a_colour_of_its_own() -> None:
    assert set(COLOURED) == set(PHASES)
    assert set(CLASSES) == {*ENDS, OTHER}
    assert all(len(set(colours.values())) == len(colours) for colours in (COLOURED, CLASSES))
    coloured = [panel["title"] for panel in PANELS if panel["fieldConfig"]["overrides"]]
    assert "Jobs by phase" in coloured
    assert "Attempts that ended, by how" in coloured


def test_bars_stand_as_far_apart_as_their_window_is_long() -> None:
    """Else $__rate_interval, four scrapes at least, is longer than a step, and one event stands in several bars."""
    counted = [
        panel
        for panel in PANELS
        if "increase(" in panel["targets"][0]["expr"] and "$__rate_interval" in panel["targets"][0]["expr"]
    ]
    assert len(counted) == 3
    assert {panel["maxDataPoints"] for panel in counted} == {40}


def test_each_panel_has_a_source_and_says_what_it_shows() -> None:
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["description"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_has_a_line_that_says_what_to_do(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor == rule["alert"].lower()
    (section,) = re.findall(rf"^### {rule['alert']}\n\n(.+?)(?=\n\n#|\Z)", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert "**Do:**" in section
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}


def test_each_alert_has_a_test_of_promtools_that_fires_it_and_one_that_does_not() -> None:
    tested: dict[str, set[bool]] = {}
    for file in (PROMETHEUS / "tests").glob("*.yaml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for each in test["alert_rule_test"]:
                tested.setdefault(each["alertname"], set()).add(bool(each.get("exp_alerts")))
    assert tested == {rule["alert"]: {True, False} for rule in RULES}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not on PATH: Debian's package `prometheus` has it")
def test_the_rules_are_valid_and_fire_when_they_should() -> None:
    files = sorted(str(file) for file in (PROMETHEUS / "tests").glob("*.yaml"))
    for command in (["check", "rules", str(PROMETHEUS / "alerts.yaml")], ["test", "rules", *files]):
        done = subprocess.run(["promtool", *command], text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
