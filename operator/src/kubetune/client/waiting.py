"""Waiting for a job's end: it is looked at again and again, which survives whatever happens to connections and watches."""

from __future__ import annotations

import time
from collections.abc import Callable

from kubetune.api import Phase, parse_status
from kubetune.client.errors import NotFoundError, WaitTimeoutError
from kubetune.client.jobs import Jobs
from kubetune.client.pause import pause
from kubetune.client.targets import Target, typed_name
from kubetune.cluster import ClusterError, Manifest
from kubetune.controller.observe import retry_wanted

FIRST_LOOK, LONGEST_LOOK, GROWTH = 0.5, 5.0, 1.4
"""Seconds between two looks at a job: soon after something changed, then ever less often."""

OUTAGE_SECONDS = 900.0
"""So long the cluster may be away: upgrades of its control plane take minutes."""


class Looks:
    """How long to wait before the next look."""

    def __init__(self) -> None:
        self._delay, self._version = FIRST_LOOK, ""

    def after(self, version: str) -> float:
        changed = version != self._version
        self._version = version
        self._delay = FIRST_LOOK if changed else min(LONGEST_LOOK, self._delay * GROWTH)
        return self._delay


def wait(jobs: Jobs, job: Manifest, *, timeout: float | None, show: Callable[[Manifest], None]) -> Manifest:
    """The job once it has Succeeded or Failed. `show` is told it whenever it changed.

    Raises NotFoundError if it is deleted, WaitTimeoutError, and ClusterError if the cluster refuses or is away for too long.
    """
    name, looks = typed_name(job["kind"], job["metadata"]["name"]), Looks()
    until = None if timeout is None else time.monotonic() + timeout
    answered = time.monotonic()
    while not over(job):
        show(job)
        left = LONGEST_LOOK if until is None else until - time.monotonic()
        if left <= 0:
            phase = parse_status(job.get("status") or {}).phase or "Pending"
            raise WaitTimeoutError(
                f"{name} is not finished after {timeout:g} s ({phase}); it goes on: wait again, or `kubetune get {name}`"
            )
        pause(min(left, looks.after(str(job["metadata"].get("resourceVersion", "")))))
        try:
            job, answered = look(jobs, job), time.monotonic()
        except ClusterError as error:
            if not error.retryable or time.monotonic() - answered > OUTAGE_SECONDS:
                raise
    show(job)
    return job


def over(job: Manifest) -> bool:
    """Finished, and nobody has asked for another attempt that the operator has not made yet."""
    status = parse_status(job.get("status") or {})
    return status.phase is not None and status.phase.finished and not (status.phase is Phase.FAILED and retry_wanted(job, status))


def look(jobs: Jobs, job: Manifest) -> Manifest:
    """The same job as it is now, not another one of its name."""
    metadata = job["metadata"]
    target = Target(metadata["name"], metadata["namespace"], job["kind"])
    now = jobs.get(job["kind"], target.namespace, target.name)
    if now is None or now["metadata"]["uid"] != metadata["uid"]:
        replaced = "" if now is None else ", and another one of its name was created"
        raise NotFoundError(f"{target} in namespace {target.namespace} was deleted{replaced}: nobody will finish it")
    jobs.ensure_driven(now)
    return now
