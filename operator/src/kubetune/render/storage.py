"""Volumes and mounts of the trainer's container."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from kubetune.api import Job
from kubetune.api.uri import parse_uri
from kubetune.render.contract import model_uri
from kubetune.render.models import (
    V1ConfigMapVolumeSource,
    V1EmptyDirVolumeSource,
    V1PersistentVolumeClaimVolumeSource,
    V1Volume,
    V1VolumeMount,
)
from kubetune.render.paths import claim_dir, configmap_dir
from kubetune.render.plan import AttemptPlan, RenderSettings
from kubetune.render.resources import limit

SHM = "/dev/shm"  # noqa: S108 - a mount point in the pod, not a file name on this machine
MAX_VOLUME_NAME = 63


@dataclass(frozen=True)
class Mounted:
    """A volume and the one place where the trainer sees it."""

    volume: V1Volume
    mount: V1VolumeMount


def volume_name(kind: str, name: str) -> str:
    """A DNS label for any DNS subdomain: volume names allow neither dots nor more than 63 characters."""
    label = f"kubetune-{kind}-{name}"
    if len(label) <= MAX_VOLUME_NAME and re.fullmatch(r"[a-z0-9-]+", label):
        return label
    return f"kubetune-{kind}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def scratch(settings: RenderSettings) -> Mounted:
    return Mounted(
        V1Volume(name="kubetune-scratch", empty_dir=V1EmptyDirVolumeSource()),
        V1VolumeMount(name="kubetune-scratch", mount_path=settings.scratch),
    )


def own_disk(settings: RenderSettings) -> Mounted:
    """What is uploaded to an object store is written here first. It counts against the limit of ephemeral-storage, if one is set;
    a job with larger checkpoints than the node's disk mounts a volume of its own at this path.
    """
    return Mounted(
        V1Volume(name="kubetune-output", empty_dir=V1EmptyDirVolumeSource()),
        V1VolumeMount(name="kubetune-output", mount_path=settings.output_root),
    )


def shared_memory(job: Job) -> Mounted:
    """Shared memory for NCCL and the data loaders: the container runtime's own has 64 MiB, with which NCCL dies of a bus error.

    It counts against the memory limit. Half of it, as a tmpfs has half of a machine's memory by default: a runaway writer gets
    "no space left", and the trainer is not killed for it.
    """
    memory = limit(job, "memory")
    source = V1EmptyDirVolumeSource(medium="Memory", size_limit=None if memory is None else str(int(memory / 2)))
    return Mounted(
        V1Volume(name="kubetune-shm", empty_dir=source),
        V1VolumeMount(name="kubetune-shm", mount_path=SHM),
    )


def claim(name: str, settings: RenderSettings, *, read_only: bool) -> Mounted:
    volume = volume_name("pvc", name)
    return Mounted(
        V1Volume(name=volume, persistent_volume_claim=V1PersistentVolumeClaimVolumeSource(claim_name=name)),
        V1VolumeMount(name=volume, mount_path=claim_dir(name, settings), read_only=read_only or None),
    )


def configmap(name: str, settings: RenderSettings) -> Mounted:
    volume = volume_name("configmap", name)
    return Mounted(
        V1Volume(name=volume, config_map=V1ConfigMapVolumeSource(name=name)),
        V1VolumeMount(name=volume, mount_path=configmap_dir(name, settings), read_only=True),
    )


def storage(job: Job, attempt: AttemptPlan, settings: RenderSettings) -> list[Mounted]:
    """All that the trainer needs mounted, each claim and ConfigMap once; only the output's claim is writable."""
    output = parse_uri(job.spec.output.uri)
    inputs = [parse_uri(uri) for uri in (model_uri(job, attempt), job.spec.dataset.uri, *attempt.resume_from)]
    claims = {uri.claim for uri in (output, *inputs) if uri.scheme == "pvc"}
    configmaps = {uri.name for uri in inputs if uri.scheme == "configMap"}
    writable = output.claim if output.scheme == "pvc" else None
    return [
        shared_memory(job),
        scratch(settings),
        *([own_disk(settings)] if output.scheme == "s3" else []),
        *(claim(name, settings, read_only=name != writable) for name in sorted(claims)),
        *(configmap(name, settings) for name in sorted(configmaps)),
    ]


def with_users_own(ours: list[Mounted], volumes: list[dict[str, Any]], mounts: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """(volumes, mounts) of the pod: both, but ours give way to a user's mount at the same path (a faster /tmp, for instance)."""
    taken = {mount["mountPath"].rstrip("/") for mount in mounts}
    kept = [each for each in ours if each.mount.mount_path not in taken]
    return [each.volume for each in kept] + volumes, [each.mount for each in kept] + mounts
