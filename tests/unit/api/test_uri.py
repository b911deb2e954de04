from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubetune.api.uri import InvalidUriError, Uri, known_forms, parse_uri


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pvc://data/a/b.jsonl", Uri("pvc", "pvc://data/a/b.jsonl", name="data", path="a/b.jsonl")),
        ("pvc://data", Uri("pvc", "pvc://data", name="data")),
        ("pvc://data/", Uri("pvc", "pvc://data/", name="data")),
        ("pvc://data/a/", Uri("pvc", "pvc://data/a/", name="data", path="a")),
        ("configMap://facts/train.jsonl", Uri("configMap", "configMap://facts/train.jsonl", name="facts", path="train.jsonl")),
        ("hf://org/name", Uri("hf", "hf://org/name", repo="org/name")),
        ("hf://org/name@v1.0", Uri("hf", "hf://org/name@v1.0", repo="org/name", revision="v1.0")),
        ("hf://org/d@main/x/y.jsonl", Uri("hf", "hf://org/d@main/x/y.jsonl", repo="org/d", revision="main", path="x/y.jsonl")),
        ("s3://bucket/key", Uri("s3", "s3://bucket/key", name="bucket", path="key")),
        ("/models/granite/", Uri("path", "/models/granite/", path="/models/granite")),
    ],
)
def test_taken_apart(text: str, expected: Uri):
    assert parse_uri(text) == expected


@pytest.mark.parametrize(
    "text", ["", "/", "data.jsonl", "PVC://a", "pvc://", "pvc://a//b", "hf://name", "gs://a/b", "configmap://a/b", "/a b", "/a\n"]
)
def test_none_of_ours(text: str):
    with pytest.raises(InvalidUriError, match="not a URI"):
        parse_uri(text)


@pytest.mark.parametrize("text", ["pvc://a/../b", "/..", "/a/../b", "hf://org/d/../x", "pvc://a/.."])
def test_no_way_up(text: str):
    with pytest.raises(InvalidUriError, match=r"'\.\.'"):
        parse_uri(text)


def test_length_is_bounded():
    with pytest.raises(InvalidUriError, match="1025 characters"):
        parse_uri("/" + "a" * 1024)


def test_a_role_narrows_what_is_taken():
    assert parse_uri("hf://org/data", "directory").path == ""
    with pytest.raises(InvalidUriError, match=r"file\.jsonl"):
        parse_uri("hf://org/data", "file")


def test_forms_in_words():
    assert known_forms("directory", ("pvc", "path")) == "pvc://claim/path or an absolute path in the pod"
    assert known_forms("directory", ("pvc",)) == "pvc://claim/path"


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="/"), min_size=1), min_size=1, max_size=4))
def test_what_is_taken_never_leaves_its_root(segments: list[str]):
    try:
        uri = parse_uri("pvc://data/" + "/".join(segments))
    except InvalidUriError:
        return
    assert ".." not in uri.path.split("/")
    assert not uri.path.startswith("/")
    assert uri.path.split("/") == segments
