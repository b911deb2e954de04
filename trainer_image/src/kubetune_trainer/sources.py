"""Where the model and the data set come from: the strings of the contract and of the library, as local paths.

Downloads go through huggingface_hub's own cache (HF_HOME), so that the processes of a node, and attempts that share a
cache volume, fetch once. HF_HUB_OFFLINE and HF_TOKEN are honoured by the library itself. s3:// has a cache of its own
(kubetune_trainer.storage).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from errno import ENOSPC
from pathlib import Path
from typing import NoReturn

from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.storage.location import SCHEME as S3_SCHEME

HF_SCHEME = "hf://"
REPO_NAME = r"[A-Za-z0-9][\w.-]*"
MODEL_ID = re.compile(rf"({REPO_NAME}/)?{REPO_NAME}")
"""org/name, or the name alone of the Hub's oldest models."""

NOT_NEEDED = ["*.gguf", "*.onnx", "*.msgpack", "*.h5", "*.tflite", "original/*", "onnx/*", "openvino/*"]
"""Other frameworks' copies of the same weights: never downloaded."""


@dataclass(frozen=True)
class HubSource:
    """hf://org/name[@revision][/path]."""

    repo: str
    revision: str | None = None
    path: str | None = None


def parse_hub(field: str, uri: str) -> HubSource:
    """Takes hf://org/name[@revision][/path/of/a/file] apart.

    A revision that holds a slash (refs/pr/1) cannot be told from a path and is refused by the Hub as not found.

    Raises:
        ConfigurationError: it has not that form.

    """
    form = rf"hf://(?P<repo>{REPO_NAME}/{REPO_NAME})(@(?P<revision>[^/@\s]+))?(/(?P<path>\S.*))?"
    match = re.fullmatch(form, uri)
    if match is None:
        raise ConfigurationError(field, uri, "is not of the form hf://org/name[@revision]", "write for instance hf://org/name@main")
    return HubSource(match["repo"], match["revision"], match["path"])


def resolve_model(model: str) -> Path:
    """The directory that holds the model; a directory is returned as it is, hf://, s3:// and a Hub id are downloaded.

    Raises:
        ConfigurationError: neither a directory nor a model of the Hub or store (or one that these credentials may not read).
        TrainingError: the Hub or the store did not answer; the same call may succeed later.

    """
    field = "model_path"
    if model.startswith(S3_SCHEME):
        return _from_store(field, model)
    if model.startswith(HF_SCHEME):
        source = parse_hub(field, model)
        if source.path is not None:
            raise ConfigurationError(field, model, "names a file", "name the repository alone: hf://org/name[@revision]")
        return _download_model(model, source)
    local = Path(model).expanduser()
    if local.exists() or local.is_absolute() or not MODEL_ID.fullmatch(model):
        return local.absolute()
    return _download_model(model, HubSource(model))


def resolve_dataset(dataset: str) -> Path:
    """The data set's file; a path is returned as it is, hf://org/name[@revision]/file.jsonl and s3://bucket/key are downloaded.

    Raises:
        ConfigurationError: no such repository, bucket or file, or it may not be read.
        TrainingError: the Hub or the store did not answer; the same call may succeed later.

    """
    field = "data_path"
    if dataset.startswith(S3_SCHEME):
        return _from_store(field, dataset)
    if not dataset.startswith(HF_SCHEME):
        return Path(dataset).expanduser().absolute()
    source = parse_hub(field, dataset)
    if source.path is None:
        raise ConfigurationError(field, dataset, "names no file", "add the file: hf://org/name[@revision]/train.jsonl")
    path = source.path
    return _from_hub(field, dataset, lambda: hf_hub_download(source.repo, path, revision=source.revision, repo_type="dataset"))


def _download_model(model: str, source: HubSource) -> Path:
    return _from_hub(
        "model_path", model, lambda: snapshot_download(source.repo, revision=source.revision, ignore_patterns=NOT_NEEDED)
    )


def _from_store(field: str, uri: str) -> Path:
    """A model's directory, or a data set's file."""
    from kubetune_trainer.storage.client import Client
    from kubetune_trainer.storage.download import Cache
    from kubetune_trainer.storage.errors import StoreError, explain
    from kubetune_trainer.storage.location import parse
    from kubetune_trainer.storage.settings import StoreSettings

    settings, location = StoreSettings.from_environment(os.environ), parse(field, uri)
    client, cache = Client(settings.patience_seconds), Cache(settings.cache / "downloads", settings.part_bytes)
    if field == "data_path" and not location.key:
        raise ConfigurationError(field, uri, "names a bucket alone", "add the file's key: s3://bucket/train.jsonl")
    try:
        if field == "data_path":
            return cache.file(client, location)
        return cache.folder(client, location, NOT_NEEDED)
    except (StoreError, OSError) as error:
        explain(field, uri, error)


def _from_hub(field: str, value: str, download: Callable[[], str]) -> Path:
    try:
        return Path(download())
    except Exception as error:  # noqa: BLE001 - the Hub's errors, the network's and the disk's share no base; all are raised again
        _explain(field, value, error)


REFUSALS: tuple[tuple[type[Exception], str, str], ...] = (
    (GatedRepoError, "is gated", "accept its licence on the Hub and give HF_TOKEN of an account that may read it"),
    (
        RepositoryNotFoundError,
        "is not a local path, and the Hub shows no such repository",
        "check the name; if it is private, give HF_TOKEN of an account that may read it",
    ),
    (RevisionNotFoundError, "has no such revision", "name a branch, a tag or a commit that exists"),
    (EntryNotFoundError, "has no such file", "check the path within the repository"),
    (HFValidationError, "is not a name that the Hub allows", "write hf://org/name[@revision]"),
)
"""What no retry can mend. Order matters: a gated repository's error is also a RepositoryNotFoundError."""


def _explain(field: str, value: str, error: Exception) -> NoReturn:
    unreachable = isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled)  # the first is an EntryNotFoundError as well
    if unreachable and constants.HF_HUB_OFFLINE:
        problem = "is not in the local cache, and HF_HUB_OFFLINE is set"
        raise ConfigurationError(field, value, problem, "unset HF_HUB_OFFLINE, or put the files on a volume") from error
    if not unreachable:
        for kind, problem, remedy in REFUSALS:
            if isinstance(error, kind):
                raise ConfigurationError(field, value, problem, remedy) from error
    failure = FailureClass.DISK_FULL if isinstance(error, OSError) and error.errno == ENOSPC else FailureClass.BACKEND_ERROR
    raise TrainingError(failure, f"{field}: {value!r} could not be downloaded from the Hugging Face Hub: {error}") from error
