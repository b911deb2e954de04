"""Where jobs are: what the client needs of a cluster, and nothing more. Two implementations: `remote` and `embedded`.

Objects are plain dicts in Kubernetes' JSON form. Calls block; any may raise ClusterError, and none retries without a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kubetune.cluster import Manifest, Queueing

CONNECTIONS = 64
"""As many calls may wait for their answers at a time, each in a thread of its own."""


@dataclass(frozen=True)
class Event:
    """What was published about a job, or about an object that was made for it."""

    type: str  # Normal or Warning
    reason: str
    message: str
    last_seen: datetime | None = None
    count: int = 1
    about: str = ""  # Pod/teach-osft-1-master-0; empty: the job itself

    @property
    def warning(self) -> bool:
        return self.type == "Warning"


class Jobs(Protocol):
    """The door to the jobs of one cluster."""

    @property
    def namespace(self) -> str:
        """Where jobs are meant to be that name no namespace."""

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        """The job with its status; None if it does not exist."""

    def all(self, kind: str, namespace: str | None) -> list[Manifest]:
        """All of a kind, in one namespace or (None) in all."""

    def create(self, document: Manifest) -> Manifest:
        """Stores a new job, whose namespace is set. Raises ClusterError with status 409 if that name is taken."""

    def put_configmap(self, manifest: Manifest) -> None:
        """Creates or replaces a ConfigMap, whose namespace is set."""

    def patch(self, job: Manifest, change: Manifest) -> Manifest:
        """Lays `change` over the job (RFC 7386), if its UID is still the same; returns it as stored."""

    def delete(self, job: Manifest) -> None:
        """Deletes the job and all that was made for it, if its UID is still the same. Absent: no error."""

    def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        """That PyTorchJob; None if it does not exist."""

    def pods(self, namespace: str, job_uid: str) -> list[Manifest]:
        """All pods of that job, of every attempt."""

    def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        """How the PyTorchJob with that UID stands in its LocalQueue."""

    def events(self, namespace: str, names: frozenset[str]) -> list[Event]:
        """Those about objects of these names, oldest first."""

    def ensure_driven(self, job: Manifest) -> None:
        """Raises ClusterError if nobody will ever bring this unfinished job any further."""

    def log(self, pod: Manifest, *, follow: bool, tail: int | None) -> Iterator[str]:
        """The lines of the trainer container's log; with `follow` until the container has ended. Raises ClusterError."""

    def close(self) -> None:
        """Lets go of what is held. Jobs of the embedded cluster that run in this process are stopped, and saved before."""
