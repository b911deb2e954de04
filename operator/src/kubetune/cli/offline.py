"""What needs no cluster at all: validate, render, crds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import yaml

from kubetune import __version__
from kubetune.api import InvalidJob, Job, parse_job
from kubetune.cli.documents import read_documents, read_job
from kubetune.cli.errors import UserError, as_user_error

NO_UID = "00000000-0000-0000-0000-000000000000"
DEFAULT_IMAGE = f"kubetune-trainer:{__version__}"


def parse(document: Mapping[str, Any], source: str) -> Job:
    """The job of a document. Raises UserError with everything that is wrong, one line each."""
    try:
        return parse_job(document)
    except InvalidJob as error:
        raise UserError(invalid(source, error)) from error


def invalid(source: str, error: InvalidJob) -> str:
    lines = [str(each) for each in error.errors]
    return f"{source}: {lines[0]}" if len(lines) == 1 else "\n  ".join([f"{source}: {len(lines)} things are wrong", *lines])


def validate_files(files: Sequence[str]) -> int:
    """Says of every job whether it is valid; the exit code."""
    code = 0
    for file in files:
        for document in read_documents(file):
            code = max(code, validate_document(file, document))
    return code


def validate_document(file: str, document: Mapping[str, Any]) -> int:
    if document.get("kind") == "ConfigMap":
        return 0
    try:
        job = parse_job(document)
    except InvalidJob as error:
        UserError(invalid(file, error)).show()
        return UserError.exit_code
    click.echo(f"{file}: {job.kind} {job.metadata.namespace}/{job.metadata.name} is valid")
    return 0


def render_file(file: str, image: str | None, uid: str | None, attempt: int, job_defaults: str | None = None) -> str:
    """The PyTorchJob of one attempt as YAML, byte-stable."""
    from kubetune.cli.job_defaults import read_defaults
    from kubetune.controller.child import stamped
    from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob, to_yaml

    document = read_job(file).job
    job = read_defaults(job_defaults).under(parse(document, file))
    job = job.model_copy(update={"metadata": job.metadata.model_copy(update={"uid": uid or job.metadata.uid or NO_UID})})
    with as_user_error():
        manifest = render_pytorchjob(job, AttemptPlan(attempt), RenderSettings(image=image or DEFAULT_IMAGE))
    return to_yaml(stamped(manifest, job))


def crds_yaml() -> str:
    """Both CustomResourceDefinitions."""
    from kubetune.api import KINDS
    from kubetune.api.crd import crd

    return yaml.safe_dump_all([crd(kind) for kind in KINDS], sort_keys=False, width=120, allow_unicode=True)
