"""From what the user gives to a job that is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from kubetune.api import FieldError, InvalidJob, Job, load_documents, parse_job
from kubetune.api.documents import as_json
from kubetune.api.identity import changed_fields, identity
from kubetune.api.parse import kind_of
from kubetune.client.columns import phase_of, row_of
from kubetune.client.errors import ConflictError, NotFoundError
from kubetune.client.jobs import Jobs
from kubetune.client.refusals import invalid
from kubetune.client.targets import typed_name
from kubetune.cluster import ClusterError, Manifest

Given = Job | Mapping[str, Any] | str | PathLike[str]
"""A model, a document as YAML has it, or the path of a file of one job and the ConfigMaps that it needs."""


@dataclass(frozen=True)
class Submission:
    """What is to be stored; every object names its namespace."""

    job: Manifest
    configmaps: tuple[Manifest, ...] = ()


def submission(given: Given, namespace: str) -> Submission:
    """`namespace`: of objects that name none. Raises InvalidJob."""
    documents = [given.to_dict()] if isinstance(given, Job) else [given] if isinstance(given, Mapping) else read(Path(given))
    jobs = [each for each in documents if each.get("kind") != "ConfigMap"]
    if len(jobs) != 1:
        raise InvalidJob([FieldError("file", None, f"{given} holds {len(jobs)} jobs", "put each into a file of its own")])
    kind_of(jobs[0])
    configmaps = tuple(placed(each, namespace) for each in documents if each.get("kind") == "ConfigMap")
    return Submission({key: value for key, value in placed(jobs[0], namespace).items() if key != "status"}, configmaps)


def read(path: Path) -> list[dict[str, Any]]:
    try:
        return load_documents(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidJob([FieldError("file", str(path), f"{path} cannot be read ({error})", "check the path")]) from error


def placed(document: Mapping[str, Any], namespace: str) -> Manifest:
    """As JSON, with a namespace."""
    plain: Manifest = as_json(document)
    if not isinstance(plain.get("metadata"), dict) or not plain["metadata"].get("name"):
        raise InvalidJob([FieldError("metadata.name", None, "required field is missing", "give it a name")])
    return {**plain, "metadata": {"namespace": namespace, **plain["metadata"]}}


def submit(jobs: Jobs, given: Given) -> Manifest:
    """The job as stored. The same submission twice is one job: a lost answer, or a cell that is run again, makes no second one.

    Raises InvalidJob, ConflictError if another job has the name, ClusterError.
    """
    wanted = submission(given, jobs.namespace)
    for configmap in wanted.configmaps:
        jobs.put_configmap(configmap)
    try:
        return jobs.create(wanted.job)
    except ClusterError as error:
        if wrong := invalid(error, wanted.job):
            raise wrong from error
        if error.status == 409:
            return same_job(jobs, wanted.job, error)
        if error.status == 404 and "namespaces" in str(error):
            name = wanted.job["metadata"]["namespace"]
            remedy = f"`kubectl create namespace {name}`, or name another with -n or metadata.namespace"
            raise NotFoundError(f"there is no namespace {name}; {remedy}") from error
        raise


def same_job(jobs: Jobs, document: Manifest, error: ClusterError) -> Manifest:
    """The job that bears the name, if it asks for the same."""
    metadata = document["metadata"]
    stored = jobs.get(document["kind"], metadata["namespace"], metadata["name"])
    if stored is None:  # gone meanwhile
        raise error
    if asked_for(stored) == asked_for(document):
        return stored
    name, phase = typed_name(stored["kind"], metadata["name"]), phase_of(row_of(stored))
    other = ", ".join(differences(stored, document))
    raise ConflictError(
        f"{name} is there already in namespace {metadata['namespace']} ({phase}), with another {other}; "
        f"give the new one another metadata.name, or remove that one: `kubetune delete {name}`"
    )


def asked_for(job: Manifest) -> Manifest:
    """The spec with its defaults, which an API server may fill in, and without runPolicy.suspend, which changes in a job's life."""
    try:
        spec = parse_job({key: value for key, value in job.items() if key != "status"}).spec.model_dump(mode="json")
    except InvalidJob:
        return dict(job["spec"])
    return {**spec, "run_policy": {**spec["run_policy"], "suspend": None}}


def differences(stored: Manifest, document: Manifest) -> tuple[str, ...]:
    """The fields that decide what is trained and differ; `spec` where it is others, or one of them cannot be read."""
    try:
        before, after = (parse_job({key: value for key, value in each.items() if key != "status"}) for each in (stored, document))
    except InvalidJob:
        return ("spec",)
    return changed_fields(identity(before), identity(after)) or ("spec",)
