"""What the controller needs of a cluster, and nothing more. Two implementations: `controller.kubernetes_cluster` and `local`.

Objects are plain dicts in Kubernetes' JSON form. Every method may raise `ClusterError`; none retries without a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

Manifest = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
JOB_NAME = "kubetune.dev/job-name"
JOB_KIND = "kubetune.dev/job-kind"
JOB_UID = "kubetune.dev/job-uid"
ATTEMPT = "kubetune.dev/attempt"
"""Labels of everything that kubetune makes. The training operator copies a replica template's labels to its pods."""

RETRY = "kubetune.dev/retry"
"""Annotation of a job that Failed: the number of its last attempt (0: it had none). Another attempt is made of it, once.

It names what it is about, so it says nothing any more as soon as that attempt is there, whoever keeps the annotation.
"""

NUDGED = "kubetune.dev/nudged"
"""Annotation of a PyTorchJob whose pods nobody made: when the training operator was last made to look at it again."""

HELD = "kubetune.dev/held"
"""Annotation of a retry's PyTorchJob, which is made suspended: HOLDS, and RELEASED once it need not wait any longer."""

HOLDS, RELEASED = "until-acknowledged", "released"

FIELD_MANAGER = "kubetune"

REPORTER = "kubetune-trainer"
"""The ServiceAccount of pods whose job names none, its RoleBinding in the job's namespace, and the ClusterRole of both."""


class ClusterError(Exception):
    """The cluster did not do as asked. `retryable`: the same call may succeed later (connection, 409, 429, 5xx)."""

    def __init__(self, message: str, *, status: int | None = None, retryable: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.retryable = retryable


@dataclass(frozen=True)
class Queueing:
    """What Kueue's objects say of one PyTorchJob."""

    installed: bool = True
    workload: Manifest | None = None
    pending: Manifest | None = None  # its entry among the queue's pending workloads, where Kueue tells the position


class Cluster(Protocol):
    """The only door to the outside that the controller has."""

    async def get_job(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """The SFTJob or OSFTJob, with its status; None if it does not exist."""

    async def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        """That PyTorchJob whoever made it; None if it does not exist."""

    async def pods(self, namespace: str, job_uid: str, names: Sequence[str] = ()) -> list[Manifest]:
        """The pods labelled with that job's UID; if `names` are given, no others need be looked for."""

    async def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        """How the PyTorchJob with that UID stands in its LocalQueue."""

    async def pods_refused(self, namespace: str, child_uid: str) -> str:
        """Why pods of the PyTorchJob with that UID are not created, in the cluster's words; empty: nobody says."""

    async def ensure_reporter(self, namespace: str) -> None:
        """Makes the account under which the namespace's masters report (REPORTER) and its binding, if they are not there."""

    async def apply_pytorchjob(self, manifest: Manifest, *, new: bool = False) -> Manifest:
        """Server-side apply with our field manager; returns the object as stored.

        `new`: one that nobody looked for. Raises ClusterError with status 409 if any bears its name already.
        """

    async def nudge_pytorchjob(self, namespace: str, name: str, uid: str, now: datetime) -> None:
        """Writes the annotation NUDGED, so that whoever watches it looks at it again. Absent, or another object: no error."""

    async def release_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        """Ends its suspension and writes RELEASED. Absent, or another object: no error."""

    async def delete_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        """Deletes it and its pods, if it still is the object with that UID. Absent already: no error."""

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        """Ends one pod of a finished attempt that runs on, if it still is the pod with that UID. Absent already: no error."""

    async def delete_job(self, job: Manifest) -> None:
        """Deletes the resource itself (deleteJob with ttlSecondsAfterFinished), if its UID is still the same. Absent: no error."""

    async def write_status(self, job: Manifest, status: Manifest) -> None:
        """Replaces the operator's part of the status: all of it but progress and checkpoints, which the trainer owns.

        Raises ClusterError with status 409 if the job changed since it was read (metadata.resourceVersion).
        """

    async def log_tail(self, namespace: str, pod: str, lines: int) -> str:
        """The last lines of the trainer container's log; empty if there is none (yet, or any more)."""

    async def event(self, job: Manifest, kind: Literal["Normal", "Warning"], reason: str, message: str, once: str) -> None:
        """Publishes an event about the job. Best effort: failures are logged, not raised.

        Another one of the same job, reason and `once` is the same event: it is published no second time.
        """
