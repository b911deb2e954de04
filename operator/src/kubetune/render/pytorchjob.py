"""One attempt of a job as one Kubeflow PyTorchJob."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, cast

import yaml
from kubernetes.client import ApiClient

from kubetune.api import Job
from kubetune.api.base import API_VERSION
from kubetune.api.identity import procs_per_node, pytorchjob_name
from kubetune.cluster import Manifest
from kubetune.render.labels import attempt_labels, queue_labels
from kubetune.render.models import (
    KubeflowOrgV1PyTorchJob,
    KubeflowOrgV1PyTorchJobSpec,
    KubeflowOrgV1ReplicaSpec,
    KubeflowOrgV1RunPolicy,
    V1ObjectMeta,
    V1OwnerReference,
)
from kubetune.render.plan import AttemptPlan, RenderSettings
from kubetune.render.pod import pod_template


def render_pytorchjob(job: Job, attempt: AttemptPlan, settings: RenderSettings) -> Manifest:
    """The PyTorchJob of one attempt, in Kubernetes' JSON form. Pure: equal arguments give equal manifests.

    Raises ValueError if a URI of the job or of the plan has no path in a pod.
    """
    pytorchjob = KubeflowOrgV1PyTorchJob(
        api_version="kubeflow.org/v1",
        kind="PyTorchJob",
        metadata=metadata(job, attempt),
        spec=KubeflowOrgV1PyTorchJobSpec(
            nproc_per_node=str(procs_per_node(job)),
            pytorch_replica_specs=replica_specs(job, attempt, settings),
            run_policy=run_policy(job),
        ),
    )
    return cast("Manifest", serializer().sanitize_for_serialization(pytorchjob))


@cache
def serializer() -> ApiClient:
    """It connects to nothing; making it takes longer than what it does."""
    return ApiClient()


def to_yaml(manifest: Manifest) -> str:
    """One YAML document, keys sorted, no line folded: equal manifests give equal bytes, whatever the order of their keys."""
    return yaml.safe_dump(manifest, sort_keys=True, allow_unicode=True, width=sys.maxsize)


def metadata(job: Job, attempt: AttemptPlan) -> V1ObjectMeta:
    return V1ObjectMeta(
        name=pytorchjob_name(job, attempt.number),
        namespace=job.metadata.namespace,
        labels=attempt_labels(job, attempt.number) | queue_labels(job),
        owner_references=[owner(job)],
    )


def owner(job: Job) -> V1OwnerReference:
    """The job as the controller: its deletion takes the attempt along."""
    return V1OwnerReference(
        api_version=API_VERSION,
        kind=job.kind,
        name=job.metadata.name,
        uid=job.metadata.uid,
        controller=True,
        block_owner_deletion=True,
    )


def replica_specs(job: Job, attempt: AttemptPlan, settings: RenderSettings) -> dict[str, Any]:
    """Node rank 0 is the Master, the rest are Workers; policy Never, because one lost rank ends the whole gang's attempt."""

    def replicas(count: int, *, master: bool) -> KubeflowOrgV1ReplicaSpec:
        template = pod_template(job, attempt, settings, master=master)
        return KubeflowOrgV1ReplicaSpec(replicas=count, restart_policy="Never", template=template)

    workers = job.spec.nodes - 1
    return {"Master": replicas(1, master=True)} | ({"Worker": replicas(workers, master=False)} if workers else {})


def run_policy(job: Job) -> KubeflowOrgV1RunPolicy:
    """Everything about retries and ends is kubetune's own affair, for it counts over attempts.

    `suspend` is Kueue's. A job with a queue is born suspended, so that it never runs unadmitted even where Kueue is away; nothing
    is applied to it again, and with Kueue's first change the field is Kueue's own.

    Pods stay after the end (None): the outcome is in the master's termination message, and a failed attempt's logs and exit codes
    say why. kubetune deletes them once it has read all that; Running would also kill a straggler before it said anything.
    No backoffLimit: when it is reached, even 0, the training operator (1.9.3) deletes every pod whatever cleanPodPolicy says, and
    the outcome with it. With restartPolicy Never a failed pod fails the PyTorchJob without it, too.
    """
    return KubeflowOrgV1RunPolicy(clean_pod_policy="None", suspend=True if job.spec.queue_name else None)
