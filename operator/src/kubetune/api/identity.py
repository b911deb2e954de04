"""What a job is: the part of the spec that decides what is trained, and the names that follow from the job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kubetune.api.job import KINDS, Job
from kubetune.api.resources import gpus


def procs_per_node(job: Job) -> int:
    """Training processes a node: procsPerNode, else the GPUs in resources.limits, else 1."""
    if job.spec.procs_per_node is not None:
        return job.spec.procs_per_node
    limits = job.spec.resources.limits if job.spec.resources else None
    return gpus(limits or {}) or 1


def identity(job: Job) -> dict[str, Any]:
    """What is trained, with defaults filled in, as one JSON document: equal documents mean the same training."""
    spec = job.spec
    return {
        "kind": job.kind,
        "backend": job.backend,
        "model": spec.model.uri if spec.model else None,
        "resumeFrom": starting_point(job),
        "dataset": {"uri": spec.dataset.uri, "format": job.dataset_format},
        "output": spec.output.uri,
        "training": spec.training.model_dump(mode="json", by_alias=True, exclude_none=True),
        "nodes": spec.nodes,
        "procsPerNode": procs_per_node(job),
        "device": spec.device,
    }


def starting_point(job: Job) -> dict[str, Any] | None:
    start = job.spec.resume_from
    if start is None:
        return None
    if start.job_ref is None:
        return {"uri": start.uri}
    return {"jobRef": {"kind": start.job_ref.kind or job.kind, "name": start.job_ref.name}}


def spec_hash(job: Job) -> str:
    """SHA-256 of `identity`, 64 hexadecimal digits. Credentials, resources and run policy do not count: they may change."""
    text = json.dumps(identity(job), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "spec") -> tuple[str, ...]:
    """Paths, such as spec.training.learningRate, in which two `identity` documents differ, sorted."""
    paths: list[str] = []
    for key in sorted({*old, *new}):
        before, after, path = old.get(key), new.get(key), f"{prefix}.{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            paths += changed_fields(before, after, path)
        elif before != after:
            paths.append("kind" if path == "spec.kind" else path)
    return tuple(paths)


def output_subdir(job: Job) -> str:
    """The job's own directory below spec.output: <namespace>-<name>-<first 8 digits of the UID>.

    Raises:
        ValueError: the job has no UID (it was never stored), so its directory could be another job's.

    """
    uid = job.metadata.uid.replace("-", "")
    if not uid:
        raise ValueError(f"{job.metadata.name} has no metadata.uid: only a job that a cluster stored has a directory of its own")
    return f"{job.metadata.namespace}-{job.metadata.name}-{uid[:8]}"


def pytorchjob_name(job: Job, attempt: int) -> str:
    """Name of an attempt's PyTorchJob: an SFTJob and an OSFTJob of one name do not clash."""
    return child_name(job.kind, job.metadata.name, attempt)


def child_name(kind: str, name: str, attempt: int) -> str:
    """`pytorchjob_name`, of a job whose spec need not be valid."""
    return f"{name}-{KINDS[kind].algorithm}-{attempt}"
