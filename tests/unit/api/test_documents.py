from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from kubetune.api import InvalidJob, load_documents
from kubetune.api.documents import as_json

SEEN = [  # what `kubectl create --dry-run=server -o json` of kubectl 1.36 made of it
    ("2e-5", 2e-5),
    ("2e-05", 2e-5),
    ("1e5", 100000),
    ("1.e+3", 1000),
    ("2.0", 2),
    (".5", 0.5),
    ("-.5", -0.5),
    ("08.5", 8.5),
    ("+12", 12),
    ("012", 10),
    ("0o12", 10),
    ("-0o12", -10),
    ("089", 89),
    ("0x1F", 31),
    ("0b11", 3),
    ("1_000", 1000),
    ("y", True),
    ("on", True),
    ("No", False),
    ("yEs", "yEs"),
    ("1:30", "1:30"),
    ("190:20:30", "190:20:30"),
    ("2026-01-01", "2026-01-01"),
    ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ("1E400", "1E400"),
    ("=", "="),
    ("<<", "<<"),
    ('"8"', "8"),
    ("'yes'", "yes"),
]


@pytest.mark.parametrize(("text", "value"), SEEN)
def test_scalars_as_kubectl_reads_them(text: str, value: Any):
    (document,) = load_documents(f"a: {text}\n")
    read = as_json(document)["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize("text", ["~", "null", ""])
def test_no_value_is_no_field(text: str):
    assert as_json(load_documents(f"a: {text}\nb: 1")[0]) == {"b": 1}


@pytest.mark.parametrize("text", [".inf", "-.inf", "+.Inf", ".NaN"])
def test_no_json_for_infinity(text: str):
    with pytest.raises(InvalidJob, match=r"spec\.rate: .* has no place"):
        as_json(load_documents(f"spec: {{rate: {text}}}")[0])


def test_keys_become_text():
    assert as_json(load_documents("a: {2: u, on: v, 1.5: w}")[0]) == {"a": {"2": "u", "true": "v", "1.5": "w"}}


def test_anchors_and_merges_work():
    (document,) = load_documents("base: &b {p: 1, q: 2}\njob:\n  <<: *b\n  q: 3\n")
    assert document["job"] == {"p": 1, "q": 3}


def test_several_documents_empty_ones_left_out():
    assert load_documents("a: 1\n---\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3", "'a' is there twice"),
        ("a: {b: 1,\nb: 2}\n", "line 2", "'b' is there twice"),
        ("a: 1\n\tb: 2\n", "line 2", ""),
        ("a: [1, 2\n", "line 2", ""),
        ("a: !!python/object:os.system x\n", "line 1", "could not determine a constructor"),
        ("- 1\n", "file", "is not a job"),
        ("text", "file", "is not a job"),
    ],
)
def test_what_is_no_yaml_names_the_line(text: str, line: str, fragment: str):
    with pytest.raises(InvalidJob) as caught:
        load_documents(text)
    (error,) = caught.value.errors
    assert error.field == line
    assert fragment in error.message


def test_dates_that_another_loader_made_become_text():
    moment = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
    assert as_json({"a": moment, "b": dt.date(2026, 1, 1)}) == {"a": "2026-01-01T12:00:00Z", "b": "2026-01-01"}
