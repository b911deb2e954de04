"""A PyTorchJob as the controller sees it. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubetune.api import Job
from kubetune.api.identity import identity, spec_hash
from kubetune.cluster import ATTEMPT, HELD, HOLDS, JOB_KIND, JOB_NAME, JOB_UID, MANAGED_BY, NUDGED, Manifest
from kubetune.controller.pods import timestamp
from kubetune.render.labels import QUEUE_NAME

IDENTITY = "kubetune.dev/identity"
SPEC_HASH = "kubetune.dev/spec-hash"


@dataclass(frozen=True)
class Child:
    """One PyTorchJob under a name of ours."""

    name: str
    uid: str
    number: int
    owned: bool  # by this very job: its ownerReference carries the job's UID
    created: datetime | None = None
    nudged: datetime | None = None
    """When the training operator was last made to look at it again."""
    deleting: bool = False
    suspended: bool = False  # by a queue, or by hand: it has no pods, or is losing them
    held: bool = False
    """Made suspended by us, and not released yet."""
    acknowledged: bool = False
    """The training operator has seen that it is suspended."""
    queue: str | None = None  # Kueue's LocalQueue
    succeeded: bool = False
    failed: bool = False
    message: str = ""
    replicas: int = 0
    """How many pods it is to have."""
    spec_hash: str | None = None
    identity: dict[str, Any] | None = None
    """What it was made from (kubetune.api.identity)."""
    remains: bool = False
    """Made for an earlier job of this name, whose deletion the garbage collector has not followed up yet."""
    masterless: bool = False
    """Its owner is a job of this kind and name with another UID: one that is gone, if this one is the younger of the two."""


def child_state(manifest: Manifest, job_uid: str) -> Child:
    """What the attempt's fate depends on."""
    metadata, labels = manifest["metadata"], manifest["metadata"].get("labels", {})
    number = labels.get(ATTEMPT, "0")
    owned = any(owner.get("uid") == job_uid for owner in metadata.get("ownerReferences") or [])
    return Child(
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        number=int(number) if number.isdigit() else 0,
        owned=owned,
        created=timestamp(metadata.get("creationTimestamp")),
        nudged=_nudged(metadata.get("annotations") or {}),
        deleting="deletionTimestamp" in metadata,
        suspended=_suspended(manifest),
        held=held(manifest),
        acknowledged=_true(manifest, "Suspended"),
        queue=labels.get(QUEUE_NAME),
        succeeded=_true(manifest, "Succeeded"),
        failed=_true(manifest, "Failed"),
        message=_message(manifest),
        replicas=sum(each.get("replicas") or 1 for each in _replica_specs(manifest).values()),
        spec_hash=(metadata.get("annotations") or {}).get(SPEC_HASH),
        identity=identity_of(manifest),
        remains=not owned and labels.get(MANAGED_BY) == "kubetune" and labels.get(JOB_UID, job_uid) != job_uid,
        masterless=not owned and any(_is_the_jobs_owner(owner, labels) for owner in metadata.get("ownerReferences") or []),
    )


def hold(manifest: Manifest) -> Manifest:
    """A rendered PyTorchJob that gets no pods before `release_pytorchjob`."""
    metadata, spec = manifest["metadata"], manifest["spec"]
    annotations = {**(metadata.get("annotations") or {}), HELD: HOLDS}
    policy = {**(spec.get("runPolicy") or {}), "suspend": True}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}, "spec": {**spec, "runPolicy": policy}}


def held(manifest: Manifest) -> bool:
    """Whether it waits for us."""
    return _hold_mark(manifest) == HOLDS and bool(_run_policy(manifest).get("suspend"))


def forgotten(child: Child, born: datetime, now: datetime, seconds: float) -> bool:
    """Whether the garbage collector will not come for it, `seconds` after the job that it is compared with was `born`.

    There is one job of a kind and name at a time: an owner that was there before this job was made, and is not it, is gone.
    """
    older = child.created is not None and child.created < born
    return child.masterless and older and not child.deleting and (now - born).total_seconds() >= seconds


def _is_the_jobs_owner(owner: Manifest, labels: Manifest) -> bool:
    """As we wrote it: the labels of the same object name the same job."""
    wrote = (labels.get(JOB_KIND), labels.get(JOB_NAME), labels.get(JOB_UID))
    return None not in wrote and (owner.get("kind"), owner.get("name"), owner.get("uid")) == wrote


def _nudged(annotations: Manifest) -> datetime | None:
    """None, too, where somebody else wrote it: whoever may write a PyTorchJob may write anything."""
    try:
        moment = timestamp(annotations.get(NUDGED))
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _hold_mark(manifest: Manifest) -> str | None:
    return (manifest["metadata"].get("annotations") or {}).get(HELD)


def _suspended(manifest: Manifest) -> bool:
    """By somebody else than us. The condition of one that we have released is of the time before that, for a moment."""
    wanted, mark = bool(_run_policy(manifest).get("suspend")), _hold_mark(manifest)
    if mark is None:
        return wanted or _true(manifest, "Suspended")
    return wanted and mark != HOLDS


def _run_policy(manifest: Manifest) -> Manifest:
    return dict(manifest.get("spec", {}).get("runPolicy") or {})


def _replica_specs(manifest: Manifest) -> Manifest:
    return dict(manifest.get("spec", {}).get("pytorchReplicaSpecs") or {})


def _conditions(manifest: Manifest) -> list[Manifest]:
    return list((manifest.get("status") or {}).get("conditions") or [])


def _true(manifest: Manifest, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in _conditions(manifest))


def _message(manifest: Manifest) -> str:
    """Of the terminal condition, wherever it stands in the list."""
    return next((str(c.get("message", "")) for c in _conditions(manifest) if c["type"] in ("Failed", "Succeeded")), "")


def identity_of(manifest: Manifest) -> dict[str, Any] | None:
    """The `identity` document of the spec that the attempt was made from; None if the object is not one that we made."""
    try:
        document = json.loads((manifest["metadata"].get("annotations") or {}).get(IDENTITY, "null"))
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def stamped(manifest: Manifest, job: Job) -> Manifest:
    """The rendered PyTorchJob with what it was made from: a later change of the spec can then be named field by field."""
    document = json.dumps(identity(job), sort_keys=True, separators=(",", ":"))
    metadata = manifest["metadata"]
    annotations = {**(metadata.get("annotations") or {}), IDENTITY: document, SPEC_HASH: spec_hash(job)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
