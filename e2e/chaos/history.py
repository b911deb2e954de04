"""What happened, in the order in which etcd wrote it: the judge sees this and nothing else. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from kubetune.cluster import ATTEMPT, JOB_UID

Manifest = dict[str, Any]

JOBS = frozenset({"SFTJob", "OSFTJob"})
CHILD = "PyTorchJob"
POD = "Pod"
EVENT = "Event"
LEASE = "Lease"
CONTROLLER = "kubetune.dev/controller"
REPLICA_TYPE = "training.kubeflow.org/replica-type"
ENDED_PHASES = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Record:
    """One write: the object as it was stored, or as it was when it was deleted; trimmed to what is judged by."""

    revision: int
    time: float  # seconds since the run began, when the write was seen
    object: Manifest
    deleted: bool = False

    @property
    def kind(self) -> str:
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.object["metadata"]["uid"])

    @property
    def job_uid(self) -> str:
        """Of the job that it is, or was made for."""
        if self.kind in JOBS:
            return self.uid
        if self.kind == EVENT:
            return str(self.object["involvedObject"].get("uid", ""))
        return str(self.object["metadata"].get("labels", {}).get(JOB_UID, ""))

    @property
    def attempt(self) -> int:
        return int(self.object["metadata"].get("labels", {}).get(ATTEMPT, 0))

    @property
    def owner(self) -> str:
        """UID of the (first) owner: a pod's gang."""
        owners = self.object["metadata"].get("ownerReferences") or [{}]
        return str(owners[0].get("uid", ""))

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.object["metadata"]

    @property
    def status(self) -> Manifest:
        return dict(self.object.get("status") or {})

    @property
    def master(self) -> bool:
        return bool(self.object["metadata"].get("labels", {}).get(REPLICA_TYPE) == "master")

    @property
    def terminated(self) -> Manifest:
        """How the trainer's container ended; empty while it has not."""
        return terminated(self.status)

    @property
    def live(self) -> bool:
        """A pod that runs, or that will."""
        return not self.deleted and self.status.get("phase") not in ENDED_PHASES and not self.terminated


@dataclass(frozen=True)
class Action:
    """What the chaos (or its users) did. `target`: a name, or empty."""

    time: float
    what: str
    target: str = ""


@dataclass(frozen=True)
class History:
    """`records` in etcd's order. `calm`: when the faults had stopped."""

    records: tuple[Record, ...]
    actions: tuple[Action, ...] = ()
    calm: float = float("inf")
    facts: dict[str, Any] = field(default_factory=dict)

    def of(self, *kinds: str) -> list[Record]:
        return [r for r in self.records if r.kind in kinds]

    def did(self, *what: str) -> list[Action]:
        return [a for a in self.actions if a.what in what]

    def final(self, *kinds: str) -> dict[str, Record]:
        """The last record of each object that still exists, by UID."""
        last = {r.uid: r for r in self.of(*kinds)}
        return {uid: record for uid, record in last.items() if not record.deleted}


def terminated(status: Manifest) -> Manifest:
    states = [(c.get("state") or {}).get("terminated") for c in status.get("containerStatuses") or []]
    return dict(states[0] or {}) if states else {}


def trimmed(stored: Manifest) -> Manifest | None:
    """What the judge needs of an object as etcd stores it; None for what is not ours."""
    kind, metadata = stored.get("kind"), stored.get("metadata") or {}
    if kind == EVENT:
        keep = ("reason", "note", "message", "eventTime", "involvedObject", "count", "series")
        return _small(stored, keep) if stored.get("reportingComponent") == CONTROLLER else None
    if kind == LEASE:
        return _small(stored, ("spec",)) if metadata["name"].startswith("kubetune-") else None
    if kind in JOBS:
        return {**_small(stored, ("status",)), "spec": {"runPolicy": stored["spec"].get("runPolicy") or {}}}
    if kind not in (CHILD, POD) or JOB_UID not in (metadata.get("labels") or {}):
        return None
    status = stored.get("status") or {}
    part = {key: status[key] for key in ("phase", "conditions", "containerStatuses") if status.get(key)}
    return {**_small(stored, ()), "status": part}


def _small(stored: Manifest, keep: Iterable[str]) -> Manifest:
    names = ("name", "namespace", "uid", "labels", "ownerReferences", "creationTimestamp", "deletionTimestamp", "generation")
    metadata = {key: stored["metadata"][key] for key in names if stored["metadata"].get(key) is not None}
    return {"kind": stored["kind"], "metadata": metadata, **{key: stored[key] for key in keep if key in stored}}


def to_lines(history: History) -> Iterable[str]:
    """JSON, one object a line: the head, the actions, the records."""
    yield json.dumps({"calm": history.calm, **history.facts})
    yield from (json.dumps({"action": asdict(each)}) for each in history.actions)
    yield from (json.dumps({"record": asdict(each)}) for each in history.records)


def from_lines(lines: Iterable[str]) -> History:
    """What to_lines wrote."""
    head, *rest = (json.loads(line) for line in lines)
    records = tuple(Record(**each["record"]) for each in rest if "record" in each)
    actions = tuple(Action(**each["action"]) for each in rest if "action" in each)
    return History(records, actions, head.pop("calm"), head)
