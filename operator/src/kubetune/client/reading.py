"""Which job is meant, and all that is known about it. Functions over `Jobs`; they raise ClusterError and ClientError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kubetune.api import parse_status
from kubetune.api.identity import child_name
from kubetune.client.errors import AmbiguousNameError, NotFoundError
from kubetune.client.jobs import Event, Jobs
from kubetune.client.refusals import translated
from kubetune.client.targets import KINDS, Target, nearest, typed_name
from kubetune.cluster import JOB_UID, ClusterError, Manifest, Queueing
from kubetune.controller.pods import REPLICA_INDEX, REPLICA_TYPE, attempt_of


@contextmanager
def told() -> Iterator[None]:
    """What the cluster refuses, as the client's own errors."""
    try:
        yield
    except ClusterError as error:
        raise translated(error) from error


def find(jobs: Jobs, target: Target) -> Manifest:
    """Raises NotFoundError with the nearest name, AmbiguousNameError where two kinds have one of that name."""
    found = [job for kind in target.kinds if (job := jobs.get(kind, target.namespace, target.name))]
    if not found:
        raise NotFoundError(f"there is no {target} in namespace {target.namespace}; {hint(jobs, target)}")
    if len(found) > 1:
        names = " or ".join(typed_name(job["kind"], target.name) for job in found)
        raise AmbiguousNameError(f"there are two jobs of the name {target.name}; write {names}")
    return found[0]


def hint(jobs: Jobs, target: Target) -> str:
    """What to do about a job that is not there, if this user may see the others."""
    try:
        there = [(kind, job["metadata"]["name"]) for kind in KINDS for job in jobs.all(kind, target.namespace)]
    except ClusterError as error:
        return "check the name" if error.status == 403 else str(error)
    return nearest(target, there)


def find_all(jobs: Jobs, kinds: tuple[str, ...], namespace: str | None) -> list[Manifest]:
    """Oldest first."""
    found = [job for kind in kinds for job in jobs.all(kind, namespace)]
    return sorted(found, key=lambda job: (str(job["metadata"].get("creationTimestamp", "")), job["metadata"]["name"]))


def pods(jobs: Jobs, job: Manifest, attempt: int | None) -> list[Manifest]:
    """Of one attempt or (None) of all; each attempt's master first."""
    found = jobs.pods(job["metadata"]["namespace"], job["metadata"]["uid"])
    wanted = [pod for pod in found if attempt in (None, attempt_of(pod))]
    return sorted(wanted, key=lambda pod: (attempt_of(pod), rank_of(pod), pod["metadata"]["name"]))


def rank_of(pod: Manifest) -> int:
    """The node's rank in the gang: 0 is the master."""
    labels = pod["metadata"].get("labels", {})
    if str(labels.get(REPLICA_TYPE, "")).lower() == "master":
        return 0
    index = str(labels.get(REPLICA_INDEX, ""))
    return int(index) + 1 if index.isdigit() else 0


def last_attempt(job: Manifest) -> int:
    """The number of the newest attempt on record; 1 before there is any."""
    attempts = parse_status(job.get("status") or {}).attempts
    return attempts[-1].number if attempts else 1


def child(jobs: Jobs, job: Manifest, attempt: int | None) -> Manifest | None:
    """The PyTorchJob of that attempt (None: of the last one), if it is there and is this job's."""
    metadata = job["metadata"]
    name = child_name(job["kind"], metadata["name"], attempt or last_attempt(job))
    found = jobs.pytorchjob(metadata["namespace"], name)
    owner = (found or {}).get("metadata", {}).get("labels", {}).get(JOB_UID)
    return found if owner == metadata["uid"] else None


def queueing(jobs: Jobs, job: Manifest) -> Queueing | None:
    """What Kueue says of the last attempt; None if it stands in no queue."""
    queue, its = job["spec"].get("queueName"), child(jobs, job, None)
    return jobs.queueing(job["metadata"]["namespace"], its["metadata"]["uid"], queue) if queue and its else None


def events(jobs: Jobs, job: Manifest, *, all_objects: bool) -> list[Event]:
    """Oldest first; with `all_objects` also those about its PyTorchJobs and pods."""
    metadata, names = job["metadata"], {job["metadata"]["name"]}
    if all_objects:
        attempts = parse_status(job.get("status") or {}).attempts
        names |= {attempt.py_torch_job for attempt in attempts} | {child_name(job["kind"], metadata["name"], last_attempt(job))}
        names |= {pod["metadata"]["name"] for pod in jobs.pods(metadata["namespace"], metadata["uid"])}
    found = jobs.events(metadata["namespace"], frozenset(names))
    return [each for each in found if all_objects or not each.about]
