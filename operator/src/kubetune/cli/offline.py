"""`render` and `crds`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from kubetune import __version__
from kubetune.api import InvalidJob, Job, parse_job
from kubetune.cli.documents import read_job
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


@dataclass(frozen=True)
class RenderOptions:
    """Those of `kubetune render`."""

    file: str
    image: str | None = None
    job_defaults: str | None = None
    uid: str | None = None
    attempt: int = 1
    output: str = "yaml"


def render_file(options: RenderOptions) -> str:
    """The PyTorchJob of one attempt, byte-stable. Raises UserError."""
    from kubetune.cli.job_defaults import read_defaults
    from kubetune.controller.child import stamped
    from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob, to_yaml

    document = read_job(options.file).job
    job = read_defaults(options.job_defaults).under(parse(document, options.file))
    job = job.model_copy(update={"metadata": job.metadata.model_copy(update={"uid": options.uid or job.metadata.uid or NO_UID})})
    with as_user_error():
        manifest = render_pytorchjob(job, AttemptPlan(options.attempt), RenderSettings(image=options.image or DEFAULT_IMAGE))
    rendered = stamped(manifest, job)
    return as_json(rendered) if options.output == "json" else to_yaml(rendered)


def as_json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def crds_text(output: str = "yaml") -> str:
    """Both CustomResourceDefinitions: documents of YAML, or a List, since JSON has no documents."""
    from kubetune.api import KINDS
    from kubetune.api.crd import crd

    both = [crd(kind) for kind in KINDS]
    if output == "json":
        return as_json({"apiVersion": "v1", "kind": "List", "items": both})
    return yaml.safe_dump_all(both, sort_keys=False, width=120, allow_unicode=True)
