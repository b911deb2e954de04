"""What is known of a job, in one frozen value: everything that `decide` decides by. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kubetune.api import InvalidJob, Job, parse_job, parse_status
from kubetune.api.identity import child_name, spec_hash
from kubetune.api.status import MAX_ATTEMPTS, Attempt, Condition, JobStatus, Phase
from kubetune.cluster import RETRY, ClusterError, Manifest
from kubetune.controller.child import Child, child_state
from kubetune.controller.pods import PodState, attempt_of, pod_state, pods_of_attempt, timestamp
from kubetune.controller.queueing import QueueState
from kubetune_trainer.contract import Checkpoint, Outcome

EPOCH_START = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True)
class Upstream:
    """The job that spec.resumeFrom.jobRef names."""

    name: str
    exists: bool
    phase: Phase | None = None
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class Observation:
    """One job and all that was made for it."""

    manifest: Manifest
    status: JobStatus
    job: Job | None  # None: the spec is invalid
    errors: str  # why it is
    hash: str | None
    attempt: Attempt | None  # the last one, recorded or found
    recorded: bool  # False: its child was created, and the operator died before it said so
    child: Child | None  # the live attempt's own PyTorchJob
    leftovers: tuple[Child, ...] = ()  # our PyTorchJobs of attempts that have ended
    occupant: Child | None = None  # somebody else's, under the name that the next attempt needs
    pods: tuple[PodState, ...] = ()  # of the last attempt, master first
    upstream: Upstream | None = None
    queue: QueueState | None = None  # of the live attempt, else of the last one while its PyTorchJob is still there
    earlier: tuple[PodState, ...] = ()  # pods of attempts before the last one, where they were looked for
    refused: str = ""  # why pods of the live attempt are not created, in the cluster's words

    @property
    def uid(self) -> str:
        return str(self.manifest["metadata"]["uid"])

    @property
    def generation(self) -> int:
        return int(self.manifest["metadata"].get("generation", 1))

    @property
    def created(self) -> datetime:
        return timestamp(self.manifest["metadata"].get("creationTimestamp")) or EPOCH_START

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.manifest["metadata"]

    @property
    def live(self) -> bool:
        """An attempt was started, and nothing has been said of its end yet."""
        return self.attempt is not None and self.attempt.ended is None

    @property
    def never_started(self) -> bool:
        return self.attempt is None

    @property
    def queued(self) -> bool:
        """The live attempt waits for its queue."""
        return self.live and self.child is not None and self.child.suspended

    @property
    def last_child(self) -> Child | None:
        """The PyTorchJob of the last attempt, though it may have ended."""
        number = self.attempt.number if self.attempt else 0
        return self.child or next((child for child in self.leftovers if child.number == number), None)

    @property
    def next_number(self) -> int:
        return self.attempt.number + 1 if self.attempt else 1

    @property
    def master(self) -> PodState | None:
        return next((pod for pod in self.pods if pod.master), None)

    @property
    def outcome(self) -> Outcome | None:
        """The master's, if it is of this attempt."""
        outcome = self.master.outcome if self.master else None
        return outcome if outcome and self.attempt and outcome.attempt == self.attempt.number else None

    @property
    def retry_wanted(self) -> bool:
        """Somebody asked for another attempt after the last one on record, which used up all that follow by themselves."""
        return retry_wanted(self.manifest, self.status)

    @property
    def spec_changed(self) -> bool:
        """What is trained differs from what the first attempt was started with."""
        return self.job is not None and self.started_hash is not None and self.started_hash != self.hash

    @property
    def started_hash(self) -> str | None:
        """Hash of what the first attempt was started with; None before that."""
        return self.status.spec_hash or (self.child.spec_hash if self.child else None)

    @property
    def step(self) -> int | None:
        """The last step that this attempt reported."""
        if self.outcome:
            return self.outcome.step
        progress, attempt = self.status.progress, self.attempt
        if progress is None or attempt is None or progress.updated_time is None or progress.updated_time < attempt.started:
            return None
        return progress.step

    def condition(self, kind: str) -> Condition | None:
        return next((c for c in self.status.conditions if c.type == kind), None)


def retry_wanted(manifest: Manifest, status: JobStatus) -> bool:
    """By attempts on record, not by one that was found: until it is recorded it may have to be created again."""
    asked = (manifest["metadata"].get("annotations") or {}).get(RETRY)
    return asked is not None and asked == str(status.attempts[-1].number if status.attempts else 0)


def names_account(observed: Observation) -> bool:
    """Whether the pods run under an account of the user's own, of which nobody here knows whether it may report."""
    template = observed.job.spec.template if observed.job else None
    return template is not None and template.service_account_name is not None


def observe(
    manifest: Manifest,
    pytorchjobs: Iterable[Manifest] = (),
    pods: Iterable[Manifest] = (),
) -> Observation:
    """Brings together what was read: the PyTorchJobs under names of ours, whoever made them, and the job's pods.

    Raises ClusterError (not retryable) if the operator's own part of the status cannot be understood: to go on without it would
    count the attempts anew.
    """
    status = job_status(manifest)
    job, errors = parse_spec(manifest)
    children = [child_state(child, manifest["metadata"]["uid"]) for child in pytorchjobs]
    pods = list(pods)
    attempt, recorded = latest_attempt(manifest, status, [c for c in children if c.owned], pods)
    live = attempt if attempt and attempt.ended is None else None
    own = next((c for c in children if live and c.owned and c.number == live.number), None)
    return Observation(
        manifest=manifest,
        status=status,
        job=job,
        errors=errors,
        hash=spec_hash(job) if job else None,
        attempt=attempt,
        recorded=recorded,
        child=own,
        leftovers=tuple(c for c in children if c.owned and not c.deleting and c is not own),
        occupant=next((c for c in children if not c.owned), None),
        pods=pods_of_attempt(pods, attempt.number) if attempt else (),
        earlier=tuple(pod_state(pod) for pod in pods if attempt and attempt_of(pod) < attempt.number),
    )


def latest_attempt(
    manifest: Manifest, status: JobStatus, children: list[Child], pods: list[Manifest]
) -> tuple[Attempt | None, bool]:
    """The last recorded attempt; or one without a record that has left a child, or pods whose child was deleted."""
    recorded = status.attempts[-1] if status.attempts else None
    known = recorded.number if recorded else 0
    newest = max(children, key=lambda c: c.number, default=None)
    if newest and newest.number > known:
        return Attempt(number=newest.number, py_torch_job=newest.name, started=newest.created or EPOCH_START), False
    orphan = max(pods, key=attempt_of, default=None)
    if orphan and attempt_of(orphan) > known:
        name = child_name(manifest["kind"], manifest["metadata"]["name"], attempt_of(orphan))
        started = timestamp(orphan["metadata"].get("creationTimestamp")) or EPOCH_START
        return Attempt(number=attempt_of(orphan), py_torch_job=name, started=started), False
    return recorded, True


def parse_spec(manifest: Manifest) -> tuple[Job | None, str]:
    """Without the status: what is wrong there is not the user's to mend."""
    try:
        return parse_job({key: value for key, value in manifest.items() if key != "status"}), ""
    except InvalidJob as error:
        return None, str(error)


def job_status(manifest: Manifest) -> JobStatus:
    """What can be read of the status. A broken report of the trainer is dropped; a broken count of attempts must not be."""
    raw = manifest.get("status") or {}
    status = parse_status(raw)
    if len(status.attempts) < min(len(raw.get("attempts") or ()), MAX_ATTEMPTS) or status.restarts != raw.get("restarts", 0):
        name = manifest["metadata"]["name"]
        raise ClusterError(f"status.attempts of {name} cannot be read: mend it, or delete the job", retryable=False)
    return status
