"""What an installation chooses for the operator process itself."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from dataclasses import dataclass
from pathlib import Path

from kubetune.controller.settings import ControllerSettings
from kubetune.render import RenderSettings

IMAGE_ENV = "KUBETUNE_TRAINER_IMAGE"
LEASE = "kubetune-controller"
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
PORT = 8080


@dataclass(frozen=True)
class OperatorSettings:
    """Each has a default that fits a cluster-wide installation."""

    controller: ControllerSettings

    namespaces: tuple[str, ...] = ()
    """Where it works; empty: everywhere."""

    workers: int = 8
    """Jobs that are reconciled at the same time."""

    sweep_seconds: float = 300.0
    """How often every job is looked at though nothing was heard of it: watches have been seen to go blind."""

    selector: str = ""
    """Label selector of the jobs that it works on; empty: all."""

    leader_elect: bool = True
    """Whether a Lease says which of several replicas acts."""

    lease_namespace: str | None = None
    """Where the Lease lies; None: the pod's own namespace, out of a cluster `default`."""

    identity: str | None = None
    """The replica's name in the Lease; None: the host's. A random part is added: two processes must never be one."""

    address: str = "0.0.0.0"  # noqa: S104 - probes and scrapes come from outside the pod
    """Where /metrics, /healthz and /readyz are served."""

    port: int | None = None
    """Their port; 0: not served; None: 8080 if it is free."""

    contact_seconds: float = 120.0
    """/healthz fails when the API server gave no good answer for so long."""


def settings_from_environment() -> OperatorSettings:
    """Raises ValueError if no trainer image is named."""
    image = os.environ.get(IMAGE_ENV)
    if not image:
        raise ValueError(f"{IMAGE_ENV} is not set: name the trainer image that jobs without spec.image run")
    return OperatorSettings(ControllerSettings(render=RenderSettings(image=image), hold_retries=True))


def lease_name(settings: OperatorSettings) -> str:
    """Replicas of one scope share a Lease; operators of different scopes do not stand in each other's way. Pure."""
    if not settings.namespaces and not settings.selector:
        return LEASE
    scope = json.dumps([sorted(settings.namespaces), settings.selector])
    return f"{LEASE}-{hashlib.sha256(scope.encode()).hexdigest()[:8]}"


def lease_namespace(settings: OperatorSettings) -> str:
    if settings.lease_namespace:
        return settings.lease_namespace
    return POD_NAMESPACE.read_text().strip() if POD_NAMESPACE.exists() else "default"


def identity(settings: OperatorSettings) -> str:
    return f"{settings.identity or socket.gethostname()}_{uuid.uuid4().hex[:8]}"
