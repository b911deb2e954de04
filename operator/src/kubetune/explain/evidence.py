"""All that is known of a job, brought together from what a cluster, a state directory or a file has of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kubetune.api import InvalidJob, Job, parse_job, parse_status
from kubetune.api.status import Attempt, Condition, JobStatus
from kubetune.cluster import Manifest, Queueing
from kubetune.controller.pods import PodState, pods_of_attempt, timestamp
from kubetune.controller.queueing import QueueState, queue_state


@dataclass(frozen=True)
class Event:
    """One event of the job, its PyTorchJob or a pod."""

    reason: str
    message: str
    warning: bool
    about: str = ""
    """As Pod/teach-osft-1-master-0; empty: the job itself."""

    time: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """What was read, in Kubernetes' JSON form."""

    job: Manifest
    pods: tuple[Manifest, ...] = ()
    events: tuple[Event, ...] = ()
    queueing: Queueing | None = None
    live: bool = True
    """Whether pods and events were looked for: a file has none."""

    driven: bool | None = None
    """On the embedded cluster: whether a `kubetune run` is at it."""


@dataclass(frozen=True)
class Evidence:
    """One job at one moment. What could not be read is empty."""

    manifest: Manifest
    status: JobStatus
    job: Job | None
    errors: str
    """Why the spec is invalid, where it is."""

    now: datetime
    pods: tuple[PodState, ...] = ()
    events: tuple[Event, ...] = ()
    queue: QueueState | None = None
    live: bool = True
    """Whether pods and events were looked for: a file has none."""

    driven: bool | None = None
    """On the embedded cluster: whether a `kubetune run` is at it."""

    @property
    def generation(self) -> int:
        return int(self.manifest.get("metadata", {}).get("generation", 1))

    @property
    def created(self) -> datetime | None:
        return timestamp(self.manifest.get("metadata", {}).get("creationTimestamp"))

    @property
    def attempt(self) -> Attempt | None:
        return self.status.attempts[-1] if self.status.attempts else None

    @property
    def reason(self) -> str:
        """What the job does or waits for, in the operator's one word."""
        running = self.condition("Running")
        return running.reason if running else ""

    @property
    def message(self) -> str:
        running = self.condition("Running")
        return running.message if running else ""

    def condition(self, kind: str) -> Condition | None:
        return next((each for each in self.status.conditions if each.type == kind), None)

    def since(self, moment: datetime | None) -> float:
        """Seconds from then to now; 0 if it is not known or lies ahead."""
        return max(0.0, (self.now - moment).total_seconds()) if moment else 0.0

    def warnings(self, *reasons: str) -> list[Event]:
        return [each for each in self.events if each.warning and (not reasons or each.reason in reasons)]


def evidence_of(seen: Seen, now: datetime) -> Evidence:
    """What was read, taken apart."""
    status = parse_status(seen.job.get("status") or {})
    try:
        job, errors = parse_job({key: value for key, value in seen.job.items() if key != "status"}), ""
    except InvalidJob as error:
        job, errors = None, str(error)
    number = status.attempts[-1].number if status.attempts else 1
    queue = queue_name(seen.job)
    return Evidence(
        seen.job,
        status,
        job,
        errors,
        now,
        pods_of_attempt(seen.pods, number),
        tuple(sorted(seen.events, key=lambda each: each.time or now)),
        queue_state(queue, seen.queueing) if seen.queueing is not None and queue else None,
        seen.live,
        seen.driven,
    )


def queue_name(manifest: Manifest) -> str:
    spec = manifest.get("spec")
    return str(spec.get("queueName") or "") if isinstance(spec, dict) else ""
