from __future__ import annotations

import pytest

from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.storage.location import Location, parse


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://models", Location("models")),
        ("s3://models/", Location("models")),
        ("s3://my.models/granite/3b/", Location("my.models", "granite/3b")),
        ("s3://b0/train.jsonl", Location("b0", "train.jsonl")),
    ],
)
def test_taken_apart(uri: str, location: Location):
    assert parse("model_path", uri) == location


@pytest.mark.parametrize("uri", ["s3://", "s3:///key", "s3://Bucket/key", "s3://-b/key", "s3://bucket/../other", "S3://bucket/key"])
def test_refused_with_field_and_value(uri: str):
    with pytest.raises(ConfigurationError, match="s3://bucket/key") as caught:
        parse("data_path", uri)
    assert (caught.value.field, caught.value.value) == ("data_path", uri)


def test_what_lies_below():
    runs = parse("ckpt_output_dir", "s3://runs/team")
    assert runs.below("a", "b.txt") == Location("runs", "team/a/b.txt")
    assert (runs.prefix, runs.uri) == ("team/", "s3://runs/team")
    assert (Location("runs").prefix, Location("runs").uri, Location("runs").below("a").key) == ("", "s3://runs", "a")
