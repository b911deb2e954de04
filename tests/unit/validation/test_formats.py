from __future__ import annotations

import json

import jsonschema
import pytest

from kubetune.validation import FORMATS, check_text
from kubetune.validation.formats import escaped, summary

BAD = "apiVersion: kubetune.dev/v1alpha1\nkind: SFTJob\nmetadata: {name: a}\nspec: {}\n"
GOOD = BAD.replace("{}", "{model: {uri: pvc://m/m}, dataset: {uri: pvc://d/d.jsonl}, output: {uri: pvc://o}}")

SARIF = {  # what the 2.1.0 schema requires of the parts that are used here (docs.oasis-open.org/sarif, sarif-schema-2.1.0.json)
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"enum": ["2.1.0"]},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "properties": {"shortDescription": {"type": "object", "required": ["text"]}},
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {"type": "object", "required": ["text"]},
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "properties": {
                                                    "artifactLocation": {"properties": {"uri": {"pattern": "^[^ ]*$"}}},
                                                    "region": {"properties": {"startLine": {"type": "integer", "minimum": 1}}},
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


def test_sarif_has_what_its_schema_requires() -> None:
    reports = [check_text("my jobs/bad.yaml", BAD), check_text("/abs/broken.yaml", "a: ["), check_text("good.yaml", GOOD)]
    document = json.loads(FORMATS["sarif"](reports))
    jsonschema.validate(document, SARIF)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert places[0]["artifactLocation"]["uri"] == "my%20jobs/bad.yaml"
    assert places[0]["region"]["startLine"] == 4
    assert places[-1]["artifactLocation"]["uri"] == "file:///abs/broken.yaml"
    assert {result["ruleId"] for result in run["results"]} == {"invalid-job", "invalid-yaml"}


def test_sarif_of_valid_jobs_is_a_run_without_results() -> None:
    document = json.loads(FORMATS["sarif"]([check_text("good.yaml", GOOD)]))
    jsonschema.validate(document, SARIF)
    assert document["runs"][0]["results"] == []


def test_github_annotations_are_one_line_each() -> None:
    reports = [check_text("a,b:c.yaml", BAD.replace("name: a", "name: 'a%'"))]
    text = FORMATS["github"](reports)
    errors = reports[0].checked[0].errors
    assert len(text.splitlines()) == len(errors)
    assert text.startswith("::error file=a%2Cb%3Ac.yaml,line=")
    assert FORMATS["github"]([check_text("good.yaml", GOOD)]) == ""


@pytest.mark.parametrize(("text", "told"), [("50%\n", "50%25%0A"), ("a\r", "a%0D"), ("plain", "plain")])
def test_workflow_commands_escape_percent_first(text: str, told: str) -> None:
    assert escaped(text) == told


def test_json_lists_every_job_with_its_errors() -> None:
    document = json.loads(FORMATS["json"]([check_text("bad.yaml", BAD + "---\nkind: Pod\n"), check_text("good.yaml", GOOD)]))
    assert {key: document[key] for key in ("files", "jobs", "invalid", "skipped")} == {
        "files": 2,
        "jobs": 2,
        "invalid": 1,
        "skipped": 1,
    }
    bad, good = document["results"]
    assert good | {"line": 1} == {
        "file": "good.yaml",
        "line": 1,
        "kind": "SFTJob",
        "namespace": "default",
        "name": "a",
        "valid": True,
        "errors": [],
    }
    assert {"line", "field", "value", "message", "remedy"} == set(bad["errors"][0])


def test_a_value_that_json_has_no_words_for_is_told_as_text() -> None:
    document = json.loads(
        FORMATS["json"]([check_text("bad.yaml", GOOD.replace("spec: {", "spec: {nodes: 2026-01-01T00:00:00Z, "))])
    )
    assert document["results"][0]["errors"]


def test_the_summary_counts_jobs_and_what_was_left_out() -> None:
    reports = [
        check_text("a.yaml", GOOD + "---\nkind: Pod\n"),
        check_text("b.yaml", BAD),
        check_text("c.yaml", "x: 1", named=False),
    ]
    assert summary(reports) == "1 job is valid, 1 is not; skipped: 1 document of other kinds, 1 file without a job"
