"""Strings to paths: with a real cache of the Hub on disk, and only the network patched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from kubetune_trainer import sources
from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.sources import HubSource, parse_hub, resolve_dataset, resolve_model

COMMIT = "a" * 40


def put_into_cache(cache: Path, folder: str, files: dict[str, str], revision: str = "main") -> Path:
    """The layout that huggingface_hub keeps (its guide "Understand caching")."""
    snapshot = cache / folder / "snapshots" / COMMIT
    for name, text in files.items():
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).write_text(text)
    (cache / folder / "refs").mkdir(exist_ok=True)
    (cache / folder / "refs" / revision).write_text(COMMIT)
    return snapshot


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "hub"
    cache.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for function in (sources.snapshot_download, sources.hf_hub_download):
        monkeypatch.setitem(function.__globals__, "HF_HUB_CACHE", str(cache))
    return cache


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("hf://org/name", HubSource("org/name")),
        ("hf://org/name@main", HubSource("org/name", "main")),
        ("hf://org/na-me.2@v1.0", HubSource("org/na-me.2", "v1.0")),
        ("hf://org/name/dir/train.jsonl", HubSource("org/name", None, "dir/train.jsonl")),
        (f"hf://org/name@{COMMIT}/train.jsonl", HubSource("org/name", COMMIT, "train.jsonl")),
    ],
)
def test_parse(uri: str, source: HubSource):
    assert parse_hub("model_path", uri) == source


@pytest.mark.parametrize("uri", ["hf://", "hf://name", "hf:///name", "hf://org/name@", "hf://org/../x@y z", "hf://org//name"])
def test_parse_refuses(uri: str):
    with pytest.raises(ConfigurationError) as caught:
        parse_hub("model_path", uri)
    assert (caught.value.field, caught.value.value) == ("model_path", uri)


def test_paths_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)

    assert resolve_model(str(tmp_path / "m")) == tmp_path / "m"
    assert resolve_model("org/name") == tmp_path / "org" / "name"  # a directory comes before the Hub
    assert resolve_model("./none") == tmp_path / "none"
    assert resolve_model("a/b/c") == tmp_path / "a" / "b" / "c"
    assert resolve_dataset("train.jsonl") == tmp_path / "train.jsonl"


@pytest.mark.parametrize("model", ["hf://org/tiny", "hf://org/tiny@main", "org/tiny", f"hf://org/tiny@{COMMIT}"])
def test_a_model_of_the_hub(offline: Path, model: str):
    snapshot = put_into_cache(offline, "models--org--tiny", {"config.json": "{}"})

    assert resolve_model(model) == snapshot
    assert (resolve_model(model) / "config.json").read_text() == "{}"


def test_a_data_set_of_the_hub(offline: Path):
    snapshot = put_into_cache(offline, "datasets--org--data", {"sub/train.jsonl": "{}\n"}, revision="v1")

    assert resolve_dataset("hf://org/data@v1/sub/train.jsonl") == snapshot / "sub" / "train.jsonl"


def test_offline_and_not_in_the_cache(offline: Path):
    for resolve, value in (
        (resolve_model, "org/none"),
        (resolve_model, "hf://org/none"),
        (resolve_dataset, "hf://org/none/t.jsonl"),
    ):
        with pytest.raises(ConfigurationError, match="HF_HUB_OFFLINE is set") as caught:
            resolve(value)
        assert caught.value.value == value


def test_forms_that_cannot_be(offline: Path):
    with pytest.raises(ConfigurationError, match="names a file"):
        resolve_model("hf://org/name/config.json")
    with pytest.raises(ConfigurationError, match="names no file"):
        resolve_dataset("hf://org/name")


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://hub.invalid"))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (RepositoryNotFoundError("404", response=response(404)), "no such repository"),
        (GatedRepoError("403", response=response(403)), "is gated"),
        (RevisionNotFoundError("404", response=response(404)), "no such revision"),
    ],
)
def test_what_no_retry_can_mend(monkeypatch: pytest.MonkeyPatch, error: Exception, says: str):
    def refuse(*args: Any, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr(sources, "snapshot_download", refuse)
    with pytest.raises(ConfigurationError, match=says) as caught:
        resolve_model("hf://org/name")
    assert caught.value.failure_class is FailureClass.USER_ERROR


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (LocalEntryNotFoundError("cannot reach"), FailureClass.BACKEND_ERROR),
        (httpx.ConnectError("refused"), FailureClass.BACKEND_ERROR),
        (OSError(28, os.strerror(28)), FailureClass.DISK_FULL),
    ],
)
def test_what_a_retry_may_mend(monkeypatch: pytest.MonkeyPatch, error: Exception, failure: FailureClass):
    def fail(*args: Any, **kwargs: Any) -> str:
        raise error

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(sources, "hf_hub_download", fail)
    with pytest.raises(TrainingError, match="could not be downloaded") as caught:
        resolve_dataset("hf://org/name/train.jsonl")
    assert caught.value.failure_class is failure
    assert failure.retryable


def test_a_name_that_the_hub_refuses():
    with pytest.raises(ConfigurationError, match="not a name that the Hub allows"):
        resolve_model("hf://org/name--x")
