"""How kubetune's objects are found again."""

from __future__ import annotations

from kubetune.api import Job
from kubetune.cluster import ATTEMPT, JOB_KIND, JOB_NAME, JOB_UID, MANAGED_BY

QUEUE_NAME = "kueue.x-k8s.io/queue-name"


def attempt_labels(job: Job, number: int) -> dict[str, str]:
    """Labels of an attempt's PyTorchJob and pods: whose they are, and which try."""
    return {
        MANAGED_BY: "kubetune",
        JOB_NAME: job.metadata.name,
        JOB_KIND: job.kind,
        JOB_UID: job.metadata.uid,
        ATTEMPT: str(number),
    }
