"""A job as it was last seen; a list of them. What is common to the handles of both clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

from kubetune.api import Job, JobStatus, Phase, parse_job, parse_status
from kubetune.client.targets import typed_name
from kubetune.client.view import html_of_job, html_of_jobs, text_of_job
from kubetune.cluster import Manifest


class SeenJob:
    """A job as it was when it was last asked for: nothing here asks the cluster."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest

    @property
    def manifest(self) -> Manifest:
        """The resource in Kubernetes' JSON form."""
        return self._manifest

    def see(self, result: object) -> None:
        """Takes over what was seen of the same job while something was done with it."""
        if isinstance(result, SeenJob) and result.uid == self.uid:
            self._manifest = result.manifest

    @property
    def kind(self) -> str:
        return str(self._manifest["kind"])

    @property
    def namespace(self) -> str:
        return str(self._manifest["metadata"].get("namespace", "default"))

    @property
    def name(self) -> str:
        return str(self._manifest["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self._manifest["metadata"].get("uid", ""))

    @property
    def job(self) -> Job:
        """The model. Raises InvalidJob if the stored spec is none that this version knows."""
        return parse_job(self._manifest)

    @property
    def seen_status(self) -> JobStatus:
        """The status as it was then; what cannot be read of it is left out."""
        return parse_status(self._manifest.get("status") or {})

    @property
    def phase(self) -> Phase | None:
        """The phase as it was then; None before anything was written of the job."""
        return self.seen_status.phase

    def __str__(self) -> str:
        return typed_name(self.kind, self.name)

    def __repr__(self) -> str:
        return text_of_job(self._manifest)

    def _repr_html_(self) -> str:
        return html_of_job(self._manifest)


J = TypeVar("J", bound=SeenJob)


class JobList(list[J], Generic[J]):
    """Jobs, shown as a table in a notebook."""

    def __init__(self, jobs: Iterable[J] = ()) -> None:
        super().__init__(jobs)

    def _repr_html_(self) -> str:
        return html_of_jobs([job.manifest for job in self])
