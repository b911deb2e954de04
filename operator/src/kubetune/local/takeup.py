"""What a run of a file makes of what an earlier run of the same job left. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from kubetune.api import InvalidJob, Job, parse_job
from kubetune.api.identity import changed_fields, identity
from kubetune.api.status import Phase
from kubetune.cluster import Manifest
from kubetune.local.training_operator import timestamp


class AlreadySucceededError(Exception):
    """There is nothing left to do for this job."""

    def __init__(self, job: Manifest) -> None:
        self.job = job
        super().__init__(job["metadata"]["name"])


class SpecChangedError(Exception):
    """The stored job trained something else than the file asks for."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self.fields = fields
        super().__init__(", ".join(fields))


def new_job(document: Mapping[str, Any], now: datetime) -> Manifest:
    """The file's job as an API server stores it at first: with a UID of its own and no status."""
    given = {key: value for key, value in document["metadata"].items() if key not in ("resourceVersion", "deletionTimestamp")}
    born = {"uid": str(uuid4()), "generation": 1, "creationTimestamp": timestamp(now)}
    metadata = {"namespace": "default", **given, **born}
    return {**{key: value for key, value in document.items() if key != "status"}, "metadata": metadata}


def take_up(stored: Manifest, document: Mapping[str, Any], job: Job) -> Manifest | None:
    """The stored job with the file's spec, ready to go on; None if nothing of it is worth keeping, so that a new one is made.

    A job that Failed is opened again, with its attempts, checkpoints and directory, and a full backoffLimit.

    Raises:
        AlreadySucceededError: it reached its end, and the spec is the same.
        SpecChangedError: what is to be trained differs from what was trained.

    """
    changed = training_changes(stored, job)
    if changed and never_trained(stored):
        return None
    if changed:
        raise SpecChangedError(changed)
    status = stored.get("status", {})
    if status.get("phase") == Phase.SUCCEEDED:
        raise AlreadySucceededError(stored)
    generation = stored["metadata"].get("generation", 1) + (stored["spec"] != document["spec"])
    metadata = {
        **stored["metadata"],
        **{k: document["metadata"][k] for k in ("labels", "annotations") if k in document["metadata"]},
    }
    reopened = reopen(status) if status.get("phase") == Phase.FAILED else status
    return {**stored, "metadata": {**metadata, "generation": generation}, "spec": document["spec"], "status": reopened}


def training_changes(stored: Manifest, job: Job) -> tuple[str, ...]:
    """The fields that decide what is trained and that differ from the stored job's. All of the spec, if that cannot be read."""
    try:
        before = parse_job({key: value for key, value in stored.items() if key != "status"})
    except InvalidJob:
        return ("spec",)
    return changed_fields(identity(before), identity(job))


def never_trained(stored: Manifest) -> bool:
    """Neither a step nor a checkpoint would be lost."""
    status = stored.get("status", {})
    return not status.get("checkpoints") and not status.get("progress", {}).get("step")


def reopen(status: Manifest) -> Manifest:
    """A Failed status as that of a job between two attempts."""
    over = ("phase", "failure", "completionTime", "startTime", "conditions", "finalCheckpoint")
    return {**{key: value for key, value in status.items() if key not in over}, "restarts": 0}


def interrupted(stored: Manifest) -> bool:
    """The last attempt was never seen to end: the process that ran it was interrupted or killed."""
    attempts = stored.get("status", {}).get("attempts", [])
    return bool(attempts) and "ended" not in attempts[-1]


def with_suspend(stored: Manifest, *, suspend: bool) -> Manifest:
    """The job with runPolicy.suspend set, as `kubectl patch` would do it."""
    policy = {key: value for key, value in stored["spec"].get("runPolicy", {}).items() if key != "suspend"}
    spec = {**stored["spec"], "runPolicy": policy | ({"suspend": True} if suspend else {})}
    if not spec["runPolicy"] and "runPolicy" not in stored["spec"]:
        spec.pop("runPolicy")
    generation = stored["metadata"].get("generation", 1) + (spec != stored["spec"])
    return {**stored, "metadata": {**stored["metadata"], "generation": generation}, "spec": spec}
