"""Where a model's shape is found: beside its weights, in a config.json, or on the Hugging Face Hub."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubetune.api import Job
from kubetune.api.uri import Uri, parse_uri
from kubetune.cli.errors import UserError, as_user_error
from kubetune.estimate import ModelShape, Tensor, UnknownModelError, shape_of

CONFIG = "config.json"
WHAT_TO_GIVE = "pass --model-config FILE with the model's config.json (or its directory)"
HEADER_BYTES = 8
MAX_HEADER = 100_000_000
"""The format's own limit (github.com/huggingface/safetensors)."""


def find_shape(job: Job, model_config: str | None, volumes: Mapping[str, Path], claims: Path) -> ModelShape:
    """The shape of the job's model. Raises UserError, which says what to pass."""
    if model_config:
        return read_shape(Path(model_config), "--model-config")
    if job.spec.model is None:
        raise UserError(f"spec.model is not set (resumeFrom): {WHAT_TO_GIVE}")
    uri = parse_uri(job.spec.model.uri)
    if uri.scheme == "hf":
        return shape_from_hub(uri)
    if uri.scheme == "s3":
        raise UserError(f"spec.model.uri: {uri.text} is not read from here; {WHAT_TO_GIVE}")
    place = Path(uri.path) if uri.scheme == "path" else volumes.get(uri.claim, claims / uri.claim) / uri.path
    if not place.exists():
        hint = f"pass --volume {uri.claim}=DIR, or " if uri.scheme == "pvc" else ""
        raise UserError(f"spec.model.uri: {uri.text} would be {place} here, which does not exist; {hint}{WHAT_TO_GIVE}")
    return read_shape(place, "spec.model.uri")


def read_shape(place: Path, field: str) -> ModelShape:
    """Of a config.json, or of a directory that holds one; the headers of the weights count where they are there."""
    config_file = place / CONFIG if place.is_dir() else place
    try:
        config = json.loads(config_file.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{field}: {config_file} does not exist; {WHAT_TO_GIVE}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{field}: {config_file} cannot be read as JSON ({error}); {WHAT_TO_GIVE}") from error
    if not isinstance(config, dict):
        raise UserError(f"{field}: {config_file} is no config.json of a model; {WHAT_TO_GIVE}")
    with as_user_error():
        return shape_of(config, weights_of(place) if place.is_dir() else ())


def weights_of(directory: Path) -> list[Tensor]:
    """Names and shapes in the headers of the directory's safetensors files."""
    return [each for file in sorted(directory.glob("*.safetensors")) for each in header(file)]


def header(file: Path) -> Iterator[Tensor]:
    """Eight bytes of length, then JSON by tensor (huggingface.co/docs/safetensors, Format)."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(HEADER_BYTES), "little")
        text = stream.read(length) if 0 < length <= MAX_HEADER else b""
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise UnknownModelError(f"{file} is no safetensors file; {WHAT_TO_GIVE}") from error
    return (Tensor(name, tuple(entry["shape"])) for name, entry in entries.items() if name != "__metadata__")


def shape_from_hub(uri: Uri) -> ModelShape:
    """By huggingface_hub, where it is installed and the Hub (or its cache) answers."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise UserError(f"spec.model.uri: {uri.text} needs huggingface_hub, which is not installed; {WHAT_TO_GIVE}") from error
    try:
        file = hf_hub_download(uri.repo, CONFIG, revision=uri.revision or None)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"spec.model.uri: {CONFIG} of {uri.text} cannot be fetched ({first}); {WHAT_TO_GIVE}") from error
    return read_shape(Path(file), "spec.model.uri")


def bound(pairs: Sequence[str]) -> dict[str, Path]:
    """--volume CLAIM=DIR, as `kubetune run` takes it."""
    found = {}
    for text in pairs:
        name, equals, directory = text.partition("=")
        if not equals or not Path(directory).is_dir():
            raise UserError(
                f"--volume {text}: no CLAIM=DIR with a directory that exists; write for instance --volume models=./models"
            )
        found[name] = Path(directory)
    return found


def quantity(option: str, text: str | None) -> int | None:
    """Bytes, as Kubernetes writes them: 80Gi, 80G, 85899345920."""
    if text is None:
        return None
    units: dict[str, Any] = (
        {"": 1} | {f"{p}i": 1024**n for n, p in enumerate("KMGT", 1)} | {p: 1000**n for n, p in enumerate("kMGT", 1)}
    )
    digits = text.rstrip("KMGTki")
    try:
        return int(float(digits) * units[text[len(digits) :]])
    except (KeyError, ValueError) as error:
        raise UserError(f"{option} {text}: no size; write for instance 80Gi or 80G") from error
