from __future__ import annotations

import pytest

from e2e.dashboard.prometheus import configured
from e2e.dashboard.questions import ALERTS, Answer, Question, compared, filled_in, questions, rules, table


def test_every_query_is_asked_with_its_variables_filled_in() -> None:
    asked = list(questions())
    assert {rule["alert"] for rule in rules()} <= {each.where for each in asked}
    assert len([each for each in asked if each.must_have_data]) > 40
    assert [each.expr for each in asked if "$" in each.expr] == []


def test_what_grafana_fills_in() -> None:
    assert filled_in('rate(a{job=~"$job"}[$__rate_interval]) / b[$__range]') == 'rate(a{job=~".*"}[15s]) / b[10m]'


@pytest.mark.parametrize(
    ("expression", "parts"),
    [
        ("max by (job) (kubetune_queue_depth) > 100", ["max by (job) (kubetune_queue_depth)"]),
        ("sum by (job) (kubetune_leader) == 0", ["sum by (job) (kubetune_leader)"]),
        ("absent(kubetune_leader)", []),
        ('rate(a{result="error"}[1m]) > 0.1', []),
        ("a > 0 and on (job) b", []),
    ],
)
def test_an_alert_without_its_limit_has_data_when_all_is_well(expression: str, parts: list[str]) -> None:
    assert list(compared(expression)) == parts


def test_an_answer_is_good_with_data_or_where_none_must_be() -> None:
    needed, other = Question("a", "x", must_have_data=True), Question("b", "y", must_have_data=False)
    answers = [Answer(needed, 3), Answer(needed), Answer(other), Answer(other, error="parse error")]
    assert [each.good for each in answers] == [True, False, True, False]
    assert table(answers).splitlines()[2:] == [
        "| a | 3 | yes |",
        "| a | 0 | **no** |",
        "| b | 0 | yes |",
        "| b | parse error | **no** |",
    ]


def test_prometheus_is_told_to_keep_the_jobs_own_namespace() -> None:
    (scrape,) = configured(["127.0.0.1:1"], ALERTS)["scrape_configs"]
    assert scrape["honor_labels"] is True
