"""How kubetune's objects are found again."""

from __future__ import annotations

from kubetune.api import Job
from kubetune.cluster import ATTEMPT, JOB_KIND, JOB_NAME, JOB_UID, MANAGED_BY

QUEUE_NAME = "kueue.x-k8s.io/queue-name"
PRIORITY_CLASS = "kueue.x-k8s.io/priority-class"
"""Labels by which Kueue knows a job's LocalQueue and WorkloadPriorityClass."""


def queue_labels(job: Job) -> dict[str, str]:
    """Of a job that names a queue; its priority is a label of the job itself, as Kueue's users write it on their own."""
    if job.spec.queue_name is None:
        return {}
    priority = job.metadata.labels.get(PRIORITY_CLASS)
    return {QUEUE_NAME: job.spec.queue_name} | ({PRIORITY_CLASS: priority} if priority else {})


def attempt_labels(job: Job, number: int) -> dict[str, str]:
    """Labels of an attempt's PyTorchJob and pods: whose they are, and which try."""
    return {
        MANAGED_BY: "kubetune",
        JOB_NAME: job.metadata.name,
        JOB_KIND: job.kind,
        JOB_UID: job.metadata.uid,
        ATTEMPT: str(number),
    }
