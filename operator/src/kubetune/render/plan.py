"""What the renderer is told beside the job itself: which attempt, and how this installation lays out its pods."""

from __future__ import annotations

from dataclasses import dataclass

from kubetune_trainer.contract import Checkpoint


@dataclass(frozen=True)
class AttemptPlan:
    """One try of one job."""

    number: int
    """1 for the first attempt."""

    resume_from: tuple[str, ...] = ()
    """URIs of full training states, best first; the trainer takes the first that verifies. Empty: from the start."""

    model_uri: str | None = None
    """Replaces spec.model.uri, for a job that goes on from another job's checkpoint (spec.resumeFrom)."""

    checkpoints: tuple[Checkpoint, ...] = ()
    """What earlier attempts reported, oldest first: this one carries the list on."""


@dataclass(frozen=True)
class RenderSettings:
    """Choices of the installation, the same for every job."""

    image: str
    """The trainer image of jobs that name none of their own."""

    volume_root: str = "/kubetune/volumes"
    """pvc://claim/a/b is <volume_root>/claim/a/b in the pod."""

    configmap_root: str = "/kubetune/configmaps"
    """configMap://name/key is <configmap_root>/name/key in the pod."""

    output_root: str = "/var/kubetune/output"
    """With an output of s3://, below this each node writes what is then uploaded: an emptyDir, unless the job mounts a volume
    of its own there."""

    unreachable_toleration_seconds: int = 30
    """How long pods stay bound to a node that is lost. Kubernetes' own 300 s would idle the whole gang for as long."""

    user_id: int = 1000
    """User, group and file-system group of the pod: not root."""

    scratch: str = "/tmp"  # noqa: S108 - a mount point in the pod, not a file name on this machine
    """Where the container may write beside its volumes (an emptyDir: its own file system is read-only), and its HOME: caches of
    the Hub, Triton and torch go there. The embedded cluster gives the user's own home."""
