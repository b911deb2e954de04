"""From a YAML document to a job, with everything that is wrong said at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kubetune.api.base import API_VERSION
from kubetune.api.documents import as_json
from kubetune.api.errors import FieldError, InvalidJob
from kubetune.api.job import KINDS, Job
from kubetune.api.metadata import SERVER_FIELDS, Metadata
from kubetune.api.rules import broken_rules
from kubetune.api.status import JobStatus
from kubetune.api.translate import did_you_mean, translate


def parse_job(doc: Mapping[str, Any]) -> Job:
    """The job that a document (YAML by `load_documents`, or an API server's JSON) describes.

    Types are taken as the API server takes them: "8" is no number, and only camelCase names are known. A status is never
    an error: what cannot be read of it (a newer version wrote it) is left out.

    Raises:
        InvalidJob: with every FieldError of the document.

    """
    model = kind_of(doc)
    plain = as_json({key: value for key, value in doc.items() if key != "status"})
    found = [*unknown_metadata(plain), *broken_rules(plain)]
    try:
        job = model.model_validate_json(json.dumps(plain), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        found = [translate(each, model) for each in error.errors() if not said_already(each, found)] + found
    if found:
        raise InvalidJob(found)
    return job.model_copy(update={"status": parse_status(doc["status"])}) if doc.get("status") else job


def kind_of(doc: Mapping[str, Any]) -> type[Job]:
    """The model of the document's kind. Raises InvalidJob if it is none of ours."""
    if not isinstance(doc, Mapping):
        raise InvalidJob([FieldError("", doc, f"{type(doc).__name__} is not a job", "write apiVersion, kind, metadata and spec")])
    errors = []
    version, kind = doc.get("apiVersion"), doc.get("kind")
    if version != API_VERSION:
        errors.append(FieldError("apiVersion", version, unknown(version), f"use {API_VERSION}"))
    if kind not in KINDS:
        errors.append(FieldError("kind", kind, unknown(kind), f"{did_you_mean(str(kind), list(KINDS))}"))
    if errors:
        raise InvalidJob(errors)
    return KINDS[str(kind)]


def unknown(value: object) -> str:
    return "required field is missing" if value is None else f"{value!r} is unknown"


def unknown_metadata(doc: Mapping[str, Any]) -> list[FieldError]:
    """Misspelt metadata of a file. A document with a UID comes from an API server, which knows better than we do."""
    metadata = doc.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("uid"):
        return []
    known = [*(field.alias or name for name, field in Metadata.model_fields.items()), *SERVER_FIELDS]
    return [
        FieldError(f"metadata.{name}", value, "unknown field", did_you_mean(name, known))
        for name, value in metadata.items()
        if name not in known
    ]


def said_already(error: ErrorDetails, found: list[FieldError]) -> bool:
    """Whether a rule of ours already said what a validator of the training parameters says of the whole block."""
    return error["type"] == "value_error" and any(each.field.startswith("spec.training") for each in found)


def parse_status(raw: Mapping[str, Any]) -> JobStatus:
    """As much of a status as can be read: what is unknown or malformed is dropped, piece by piece."""
    status = as_json(raw)
    while isinstance(status, dict):  # every round makes it smaller
        try:
            return JobStatus.model_validate_json(json.dumps(status), by_alias=True, by_name=False)
        except ValidationError as error:
            repair(status, error.errors()[0])
    return JobStatus()


def repair(status: Any, error: ErrorDetails) -> None:
    """Takes out what is wrong: the field, its parent where a field is missing, the oldest items of a list that is too long."""
    *parents, last = error["loc"][:-1] if error["type"] == "missing" else error["loc"]
    for step in parents:
        status = status[step]
    if error["type"] == "too_long":
        status[last] = status[last][-error["ctx"]["max_length"] :]
    else:
        del status[last]
