"""What an installation gives to jobs that leave it out: a part of a spec, laid under each job when it is rendered.

It is never written into a job, so that it is no difference to whoever keeps the job in Git; and it holds nothing of what is trained
(kubetune.api.identity), so that a changed default never makes another training of a job that has started.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubetune.api.base import API_VERSION
from kubetune.api.documents import as_json, load_documents
from kubetune.api.errors import FieldError, InvalidJob
from kubetune.api.job import Job
from kubetune.api.parse import parse_job
from kubetune.api.spec import ImagePullPolicy
from kubetune.api.template import PodTemplate
from kubetune.api.translate import did_you_mean

FIELDS = {"image": "image", "imagePullPolicy": "image_pull_policy", "queueName": "queue_name", "template": "template"}
"""Fields of a job's spec that may have a default; each is named and checked as there."""

REFUSED = {
    "resources": "GPUs decide how many processes train; say them in each job, and Kubernetes' own defaults in a LimitRange",
    "template.serviceAccountName": "who reports is the job's own affair; name the account in each job",
}
"""Fields that look as if they might, and why they may not."""

SHAPE = f"write {', '.join(FIELDS)}, as in a job's spec"

MOUNTS = ("volumes", "volume_mounts")
"""One without the other leads nowhere: a job that has either gets neither."""


@dataclass(frozen=True)
class JobDefaults:
    """None and empty: no default."""

    image: str | None = None
    image_pull_policy: ImagePullPolicy | None = None
    queue_name: str | None = None
    template: PodTemplate | None = None

    def under(self, job: Job) -> Job:
        """The job with what it leaves out; a field of its own, be it an empty list, wins whole: nothing is merged. Pure."""
        given = {name: value for name in ("image", "image_pull_policy", "queue_name") if (value := getattr(self, name)) is not None}
        laid = {name: value for name, value in given.items() if getattr(job.spec, name) is None}
        template = template_under(self.template, job.spec.template)
        if template is not job.spec.template:
            laid["template"] = template
        return job.model_copy(update={"spec": job.spec.model_copy(update=laid)}) if laid else job


NONE = JobDefaults()


def template_under(defaults: PodTemplate | None, own: PodTemplate | None) -> PodTemplate | None:
    if defaults is None or own is None:
        return own or defaults
    mounted = any(getattr(own, name) is not None for name in MOUNTS)
    free = [name for name in PodTemplate.model_fields if getattr(own, name) is None and not (mounted and name in MOUNTS)]
    laid = {name: value for name in free if (value := getattr(defaults, name)) is not None}
    return own.model_copy(update=laid) if laid else own


def load_defaults(text: str) -> JobDefaults:
    """From YAML; an empty text has none. Raises InvalidJob as `parse_defaults`, or with the line that is no YAML."""
    try:
        documents = load_documents(text)
    except InvalidJob as error:
        raise InvalidJob([replace(each, remedy=SHAPE) if each.field == "file" else each for each in error.errors]) from error
    if len(documents) > 1:
        raise InvalidJob([FieldError("file", len(documents), f"{len(documents)} documents are there", "leave one")])
    return parse_defaults(documents[0]) if documents else NONE


def parse_defaults(document: Mapping[str, Any]) -> JobDefaults:
    """Checked by the same rules as in a job.

    Raises:
        InvalidJob: with every FieldError; fields are named as they stand in the document.

    """
    found = [*not_for_defaults(as_json(document))]
    known = {key: value for key, value in as_json(document).items() if key in FIELDS}
    try:
        spec = parse_job(around(known)).spec
    except InvalidJob as error:
        found += [replace(each, field=each.field.removeprefix("spec.")) for each in error.errors]
    if found:
        raise InvalidJob(found)
    return JobDefaults(**{name: getattr(spec, name) for name in FIELDS.values()})


def not_for_defaults(document: Mapping[str, Any]) -> list[FieldError]:
    template = document.get("template")
    nested = {f"template.{key}": value for key, value in template.items()} if isinstance(template, Mapping) else {}
    refused = {path: value for path, value in {**document, **nested}.items() if path in REFUSED}
    unknown = {key: value for key, value in document.items() if key not in FIELDS and key not in refused}
    return [
        *(FieldError(path, value, "may have no default", REFUSED[path]) for path, value in refused.items()),
        *(FieldError(key, value, "is no field with a default", remedy(key)) for key, value in unknown.items()),
    ]


def remedy(unknown: str) -> str:
    beneath = {field.alias for field in PodTemplate.model_fields.values()}
    return f"write template.{unknown}" if unknown in beneath else did_you_mean(unknown, list(FIELDS))


def around(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest job that has these fields, so that what checks a job checks them."""
    smallest = {"model": {"uri": "/model"}, "dataset": {"uri": "/data.jsonl"}, "output": {"uri": "/output"}}
    return {"apiVersion": API_VERSION, "kind": "SFTJob", "metadata": {"name": "defaults"}, "spec": {**smallest, **spec}}
