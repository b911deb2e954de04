"""What a user does to a job that is there: suspend, resume, retry. Functions over `Jobs`."""

from __future__ import annotations

from typing import Any

from kubetune.api import Phase, parse_status
from kubetune.client.errors import ConflictError
from kubetune.client.jobs import Jobs
from kubetune.client.targets import typed_name
from kubetune.cluster import RETRY, Manifest


def suspend(jobs: Jobs, job: Manifest) -> Manifest:
    """Its pods are told to stop, and save before. Raises ConflictError if it is over."""
    if phase(job) in (Phase.SUCCEEDED, Phase.FAILED):
        raise ConflictError(f"{named(job)} has {phase(job)} already: there is nothing to suspend")
    return jobs.patch(job, {"spec": {"runPolicy": {"suspend": True}}})


def resume(jobs: Jobs, job: Manifest) -> Manifest:
    """It goes on from the state that was saved last. One that is not suspended stays as it is."""
    if phase(job) is Phase.FAILED:
        raise ConflictError(f"{named(job)} has Failed; `kubetune retry {named(job)}` lets it go on from its last checkpoint")
    if not suspended(job):
        return job
    return jobs.patch(job, {"spec": {"runPolicy": {"suspend": None}}})


def retry(jobs: Jobs, job: Manifest) -> Manifest:
    """Another attempt of a job that Failed, in the same resource: docs/sdk.md tells why."""
    where = phase(job)
    if where is Phase.SUCCEEDED:
        raise ConflictError(f"{named(job)} has Succeeded; to train on from its checkpoint submit a new job with resumeFrom.jobRef")
    if where is not Phase.FAILED:
        raise ConflictError(
            f"{named(job)} has not Failed ({where or Phase.PENDING}): attempts that fail are followed by others by themselves"
        )
    if suspended(job):
        job = jobs.patch(job, {"spec": {"runPolicy": {"suspend": None}}})
    attempts = (job.get("status") or {}).get("attempts") or [{"number": 0}]
    return jobs.patch(job, {"metadata": {"annotations": {RETRY: str(attempts[-1]["number"])}}})


def suspended(job: Manifest) -> bool:
    policy: dict[str, Any] = job["spec"].get("runPolicy") or {}
    return bool(policy.get("suspend"))


def phase(job: Manifest) -> Phase | None:
    return parse_status(job.get("status") or {}).phase


def named(job: Manifest) -> str:
    return typed_name(job["kind"], job["metadata"]["name"])
