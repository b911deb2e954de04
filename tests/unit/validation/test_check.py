from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from kubetune.validation import FileReport, check_text

JOB = """\
# a comment
apiVersion: kubetune.dev/v1alpha1
kind: OSFTJob
metadata: {name: teach, labels: {team.example.org/a: b}}
spec:
  model: {uri: pvc://models/m}
  dataset:
    uri: pvc://data/train.jsonl
  output: {uri: pvc://runs}
  nodes: 2
  training:
    unfreezeRankRatio: 0.3
    effectiveBatchSize: 128
    maxTokensPerGpu: 8192
    maxSeqLen: 4096
    learningRate: 2.0e-5
"""
OTHER = "kind: ConfigMap\nmetadata: {name: c}\n"


def lines(report: FileReport) -> dict[str, int | None]:
    return {error.field: error.line for each in report.checked for error in each.errors}


def test_a_valid_job_has_its_name_and_line() -> None:
    (found,) = check_text("job.yaml", JOB).checked
    assert (found.valid, found.kind, found.namespace, found.name, found.line) == (True, "OSFTJob", "default", "teach", 2)


@pytest.mark.parametrize(
    ("old", "new", "field", "line"),
    [
        ("nodes: 2", "nodes: 0", "spec.nodes", 10),
        ("nodes: 2", "nods: 2", "spec.nods", 10),
        ("    maxSeqLen: 4096\n", "", "spec.training.maxSeqLen", 11),  # missing: the line of its block
        ("    uri: pvc://data/train.jsonl", "    uri: pvc://data", "spec.dataset.uri", 8),
        ("name: teach", "name: Teach", "metadata.name", 4),
        ("  nodes: 2", "  template:\n    env:\n    - {name: A, value: b}\n    - {nam: B}", "spec.template.env[1].nam", 13),
        ("kind: OSFTJob", "kind: OSFTjob", "kind", 3),
    ],
)
def test_an_error_has_the_line_of_its_field(old: str, new: str, field: str, line: int) -> None:
    assert old in JOB
    assert lines(check_text("job.yaml", JOB.replace(old, new)))[field] == line


def test_lines_count_from_the_files_beginning_in_the_second_document() -> None:
    text = OTHER + "---\n" + JOB.replace("nodes: 2", "nodes: 0")
    report = check_text("job.yaml", text)
    assert lines(report) == {"spec.nodes": 13}
    assert report.skipped == ("ConfigMap",)


def test_errors_come_in_the_files_order() -> None:
    broken = JOB.replace("nodes: 2", "nodes: 0").replace("maxSeqLen: 4096", "maxSeqLen: x").replace("model:", "modell:")
    assert list(lines(check_text("f", broken)).values()) == sorted(lines(check_text("f", broken)).values())  # type: ignore[type-var]


def test_a_list_is_its_items() -> None:
    job = yaml.safe_load(JOB)
    bad = job | {"metadata": {"name": "b"}, "spec": job["spec"] | {"nodes": 0}}
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [job, {"kind": "Pod"}, bad]}, sort_keys=False)
    report = check_text("list.yaml", text)
    assert [each.valid for each in report.checked] == [True, False]
    assert report.skipped == ("Pod",)
    number = lines(report)["spec.nodes"]
    assert number is not None
    assert text.splitlines()[number - 1].strip() == "nodes: 0"


@pytest.mark.parametrize("indent", [2, "\t"])
def test_json_with_blanks_or_tabs(indent: Any) -> None:
    job = yaml.safe_load(JOB)
    text = json.dumps(job | {"spec": job["spec"] | {"nodes": 0}}, indent=indent)
    number = lines(check_text("job.json", text))["spec.nodes"]
    assert number is not None
    assert '"nodes": 0' in text.splitlines()[number - 1]


def test_a_named_file_that_is_no_yaml_is_an_error_at_its_line() -> None:
    (found,) = check_text("job.yaml", "spec:\n\tnodes: 1\n").checked
    assert (found.kind, found.errors[0].line) == ("", 2)
    (found,) = check_text("job.yaml", "a: \x01").checked
    assert "no YAML" in found.errors[0].message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ range .Values }}\nkind: ClusterRole  # kubetune.dev/v1alpha1\n{{ end }}", 0),  # a chart's template
        ("{{ range .Values }}\nkind: SFTJob\n{{ end }}", 1),
        ("just: [words", 0),
    ],
)
def test_in_a_folder_only_what_is_meant_as_a_job_must_be_yaml(text: str, told: int) -> None:
    assert len(check_text("chart/t.yaml", text, named=False).checked) == told


def test_files_that_name_nothing_of_ours_are_passed_over() -> None:
    assert check_text("x.yaml", OTHER, named=False) == FileReport("x.yaml")
    assert check_text("x.yaml", OTHER).skipped == ("ConfigMap",)
