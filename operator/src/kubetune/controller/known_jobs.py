"""What the watch has told of all jobs, kept small: a standby takes over from here, and the metrics are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubetune.api.status import Phase
from kubetune.cluster import RETRY
from kubetune.controller.pods import timestamp
from kubetune.controller.workqueue import Key
from kubetune_trainer.contract import FailureClass

ENDS = frozenset({"Succeeded", "Suspended", *(each.value for each in FailureClass)})
OTHER = "Other"
PHASES = frozenset(each.value for each in Phase)
NEXT = ""
"""The version of a job that we have written, until the watch tells of it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One job as last seen. Text out of the cluster is reduced to known words: it becomes label values of metrics."""

    key: Key
    version: str  # metadata.resourceVersion
    generation: int = 0
    deleting: bool = False
    phase: str = Phase.PENDING.value
    failure: str = ""
    """Class of the job's (last) failure."""
    created: datetime | None = None
    attempt: int = 0
    ends: tuple[str, ...] = ()
    """How the attempts that are listed ended, oldest first."""
    ended: int = 0
    """Number of the last attempt that ended."""
    restarts: int = 0
    admitted: datetime | None = None
    since: datetime | None = None
    """When it came into its phase, as far as its status tells."""
    step: int = 0
    total: int = 0
    reported: datetime | None = None
    retry: str = ""
    """The annotation that asks for another attempt."""

    reason: str = ""
    """Of the condition Reconciling or, at the end, of its failure: for the log alone."""

    def asks_for_more_than(self, before: Seen | None) -> bool:
        """Whether there is something to reconcile: another spec, a deletion, a retry that was asked for, or the first sight.

        A status is no such news.
        """
        asked = (self.generation, self.deleting, self.retry)
        return before is None or asked != (before.generation, before.deleting, before.retry)

    @property
    def steps(self) -> bool:
        """Whether its trainer has reported."""
        return bool(self.step or self.total or self.reported)

    @property
    def finished(self) -> bool:
        return self.phase in (Phase.SUCCEEDED, Phase.FAILED)


def seen(kind: str, body: Mapping[str, Any]) -> Seen:
    """Never raises: whoever may write a status may write anything."""
    metadata, status = body["metadata"], _dict(body.get("status"))
    phase = _word(status.get("phase"), PHASES, Phase.PENDING.value)
    attempts = [a for a in _list(status.get("attempts")) if isinstance(a, dict)]
    progress, failure = _dict(status.get("progress")), _dict(status.get("failure"))
    conditions = {c.get("type"): c for c in _list(status.get("conditions")) if isinstance(c, dict)}
    admitted = conditions.get("Admitted", {})
    ends = [a for a in attempts if a.get("ended")]
    return Seen(
        key=Key(kind, metadata["namespace"], metadata["name"]),
        version=str(metadata.get("resourceVersion", "")),
        generation=_whole(metadata.get("generation")),
        deleting="deletionTimestamp" in metadata,
        phase=phase,
        failure=_word(failure.get("class"), ENDS, OTHER) if failure else "",
        created=_time(metadata.get("creationTimestamp")),
        since=_since(phase, attempts, conditions) or _time(metadata.get("creationTimestamp")),
        attempt=_whole(attempts[-1].get("number")) if attempts else 0,
        ends=tuple(_word(a.get("reason"), ENDS, OTHER) for a in ends),
        ended=_whole(ends[-1].get("number")) if ends else 0,
        restarts=_whole(status.get("restarts")),
        admitted=_time(admitted.get("lastTransitionTime")) if admitted.get("status") == "True" else None,
        step=_whole(progress.get("step")),
        total=_whole(progress.get("totalSteps")),
        reported=_time(progress.get("updatedTime")),
        reason=str(conditions.get("Reconciling", {}).get("reason", "")),
        retry=str(_dict(metadata.get("annotations")).get(RETRY, "")),
    )


def _since(phase: str, attempts: list[dict[str, Any]], conditions: Mapping[Any, Any]) -> datetime | None:
    """An attempt begins with Starting or Queued and is followed by Restarting; the other phases have a condition of their name."""
    last = attempts[-1] if attempts else {}
    if phase in (Phase.STARTING, Phase.QUEUED):
        return _time(last.get("started"))
    return _time(last.get("ended") if phase == Phase.RESTARTING else conditions.get(phase, {}).get("lastTransitionTime"))


def _word(value: object, known: frozenset[str], default: str) -> str:
    """One of the known words, the same object each time: 10,000 jobs share them."""
    return next((word for word in known if word == value), default)


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


def _time(value: object) -> datetime | None:
    try:
        return timestamp(value) if isinstance(value, str) else None
    except ValueError:
        return None


class KnownJobs:
    """All jobs in scope, by UID. Read from other threads too: each step leaves it whole."""

    def __init__(self) -> None:
        self._jobs: dict[str, Seen] = {}
        self._keys: dict[Key, str] = {}
        self._settled: dict[str, str] = {}  # versions in which there was nothing left to do
        self.live = 0
        """How many are not finished."""

    def update(self, uid: str, job: Seen) -> Seen | None:
        """What was known before."""
        before = self._jobs.get(uid)
        self.live += (not job.finished) - (before is not None and not before.finished)
        self._jobs[uid] = job
        self._keys[job.key] = uid
        if self._settled.get(uid) == NEXT and job.finished:
            self._settled[uid] = job.version
        return before

    def forget(self, uid: str) -> None:
        job = self._jobs.pop(uid, None)
        self.live -= job is not None and not job.finished
        self._settled.pop(uid, None)
        if job and self._keys.get(job.key) == uid:
            del self._keys[job.key]

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def of(self, key: Key) -> Seen | None:
        return self._jobs.get(self._keys.get(key, ""))

    def uid(self, key: Key) -> str | None:
        return self._keys.get(key)

    def settle(self, key: Key) -> None:
        """It is finished, and in this version nothing is left to do about it; or in the next, if the watch is behind."""
        uid = self._keys.get(key)
        job = self._jobs.get(uid) if uid else None
        if uid and job:
            self._settled[uid] = job.version if job.finished else NEXT

    def settled(self, uid: str, job: Seen) -> bool:
        return job.finished and self._settled.get(uid) == job.version

    def over(self, key: Key) -> bool:
        """Whether nothing is left to do about it, as far as the watch has told."""
        uid = self._keys.get(key, "")
        job = self._jobs.get(uid)
        return job is not None and self.settled(uid, job)

    def version(self, uid: str) -> str | None:
        job = self._jobs.get(uid)
        return job.version if job else None

    def all(self) -> list[Seen]:
        return list(self._jobs.values())

    def uids(self) -> set[str]:
        return set(self._jobs)
