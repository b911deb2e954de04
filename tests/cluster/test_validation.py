"""pydantic and the API server's CEL say the same of every job: of those in the table, and of those that a search makes up."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from cases import CASES, CHANGES, Case, Change
from hypothesis import HealthCheck, given, settings
from kubernetes import client
from real_cluster import Namespace
from server_cases import created, judge, judge_change
from spec_edits import jobs

from kubetune.api import InvalidJob, parse_job
from kubetune.api.rule import Rule
from kubetune.api.rules import RULES
from kubetune.controller.kubernetes_api import connect

pytestmark = pytest.mark.cluster

SEARCH = int(os.environ.get("KUBETUNE_SEARCH", "0"))
"""So many random jobs instead of the same 1500 each time."""


@pytest.fixture(scope="module")
def api(kubeconfig: Any) -> client.CustomObjectsApi:
    return client.CustomObjectsApi(connect(str(kubeconfig)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_api_server_says_what_the_table_says(api: client.CustomObjectsApi, case: Case):
    assert judge(api, case) is None


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_changes_of_a_started_job(api: client.CustomObjectsApi, namespace: Namespace, change: Change):
    assert judge_change(api, change, namespace.name) is None


SEARCHED = settings(
    max_examples=SEARCH or 1500,
    derandomize=not SEARCH,
    deadline=None,
    print_blob=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@SEARCHED
@given(document=jobs())
def test_no_job_is_found_on_which_they_differ(api: client.CustomObjectsApi, document: dict[str, Any]):
    ours, theirs = refusal(document), created(api, document, dry_run="All")
    assert (ours is None) == (theirs is None), f"{json.dumps(document['spec'])}\npydantic: {ours}\nAPI server: {theirs}"


def refusal(document: dict[str, Any]) -> str | None:
    try:
        parse_job(document)
    except InvalidJob as error:
        return str(error)
    return None


def test_the_search_would_see_a_rule_that_only_one_side_has():
    """A job that breaks one rule and nothing else is taken by the side that lacks the rule."""
    broken: list[set[str]] = []

    @SEARCHED
    @given(document=jobs())
    def look(document: dict[str, Any]) -> None:
        try:
            parse_job(document)
        except InvalidJob as error:
            if len(error.errors) == 1:
                broken.append({rule.name for rule in RULES if document["kind"] in rule.kinds and violated(rule, document)})

    look()
    alone = set.union(*(names for names in broken if len(names) == 1))
    print(
        f"{len(broken)} refused for one thing; {len(alone)} of {len({rule.name for rule in RULES})} rules were broken with no other"
    )
    assert len(alone) >= 25


def violated(rule: Rule, document: dict[str, Any]) -> bool:
    """Rules are asked of documents whose shape is right; where it is not, the schema refuses them."""
    try:
        return any(rule.errors(document))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
