"""What one node's container asks of the cluster."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from kubetune.api import Job
from kubetune.api.identity import procs_per_node
from kubetune.api.resources import is_gpu

GPU = "nvidia.com/gpu"


def container_resources(job: Job) -> dict[str, Any] | None:
    """The user's resources; one GPU a process is added if the job trains on GPUs and its limits name none."""
    resources = given_resources(job)
    limits = dict(resources.get("limits", {}))
    if job.spec.device == "gpu" and not any(is_gpu(name) for name in limits):
        limits[GPU] = procs_per_node(job)
    return resources | ({"limits": limits} if limits else {}) or None


def given_resources(job: Job) -> dict[str, Any]:
    return job.spec.resources.to_dict() if job.spec.resources else {}


def limit(job: Job, resource: str) -> Decimal | None:
    """The user's limit as a number in the resource's base unit (cores, bytes); None if there is none."""
    quantity = given_resources(job).get("limits", {}).get(resource)
    return None if quantity is None else parse_quantity(quantity)


def omp_num_threads(job: Job) -> int | None:
    """OpenMP threads a process on CPU: an equal share of the CPU limit, at least 1; None where the default is right.

    OpenMP counts the node's cores, not the container's quota: without this, a pod limited to 4 CPUs of 64 starts 64 threads
    that spend their time throttled and waiting for each other.
    """
    cores = limit(job, "cpu")
    if job.spec.device != "cpu" or cores is None:
        return None
    return max(1, int(cores / procs_per_node(job)))
