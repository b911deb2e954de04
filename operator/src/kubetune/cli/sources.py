"""Where `explain` reads a job and all about it: the embedded cluster's state directory, or a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kubetune.api import KINDS
from kubetune.cli.errors import UserError, as_user_error
from kubetune.cluster import JOB_UID
from kubetune.controller.pods import timestamp
from kubetune.explain import Event, Seen
from kubetune.local.state import StateDir
from kubetune.local.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """A job, what could be read about it, and what could not."""

    seen: Seen
    state_dir: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """Which job: None where it was not said."""

    kind: str | None
    namespace: str | None
    name: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.kind,) if self.kind else tuple(KINDS)


@contextmanager
def as_user_errors() -> Iterator[None]:
    """The client's errors are for the user, in one line each."""
    from kubetune.client import ClientError

    try:
        yield
    except ClientError as error:
        raise UserError(str(error)) from error


def from_state_dir(root: Path, wanted: Wanted) -> Found | None:
    """The job of a `kubetune run`; None where there is none of that name. Raises UserError where two kinds have one."""
    state = StateDir(root.expanduser())
    if not state.resources.is_dir():
        return None
    with as_user_error():
        store = Store(state.resources)
    jobs = [job for kind in wanted.kinds if (job := store.get(kind, wanted.namespace or "default", wanted.name))]
    if len(jobs) > 1:
        raise UserError(
            f"there are two jobs of the name {wanted.name} in {root}; write sftjob/{wanted.name} or osftjob/{wanted.name}"
        )
    if not jobs:
        return None
    job, metadata = jobs[0], jobs[0]["metadata"]
    seen = Seen(
        job,
        tuple(store.select("Pod", metadata["namespace"], {JOB_UID: metadata["uid"]})),
        tuple(told_of(state.root / "events.jsonl", metadata["uid"])),
        driven=state.driven(job["kind"], metadata["namespace"], metadata["name"]),
    )
    return Found(seen, str(root))


def told_of(file: Path, uid: str) -> Iterable[Event]:
    """The embedded cluster's events of one job."""
    if not file.exists():
        return
    for line in map(json.loads, file.read_text().splitlines()):
        if line["name"][0] == uid:
            yield Event(line["reason"], line["message"], line["type"] == "Warning", time=timestamp(line["time"]))


def from_cluster(wanted: Wanted, kubeconfig: str | None, context: str | None) -> Found:
    """The job on the cluster that kubectl would ask. What may not be read is a note. Raises UserError if the job cannot."""
    from kubetune.client import Client, ClientError

    notes: list[str] = []
    nothing: tuple[Any, ...] = ()

    def tried(what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except ClientError as error:
            notes.append(f"{what} could not be read: {error}")
            return otherwise

    with as_user_errors(), Client(kubeconfig, context=context, namespace=wanted.namespace) as client:
        job = client.get(f"{wanted.kind}/{wanted.name}" if wanted.kind else wanted.name)
        pods = tried("pods", lambda: tuple(client.pods(job)), nothing)
        events = tried("events", lambda: tuple(client.events(job, all_objects=True)), nothing)
        queueing = tried("Kueue's objects", lambda: client.queueing(job), None)
    said = tuple(Event(each.reason, each.message, each.warning, each.about, each.last_seen) for each in events)
    return Found(Seen(job.manifest, pods, said, queueing), notes=tuple(notes))
