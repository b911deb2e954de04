"""Security contexts that pass the "restricted" Pod Security Standard (kubernetes.io, Pod Security Standards)."""

from __future__ import annotations

from typing import Any

from kubetune.render.models import (
    V1Capabilities,
    V1SecurityContext,
)
from kubetune.render.plan import RenderSettings


def pod_security(settings: RenderSettings, users: dict[str, Any]) -> dict[str, Any]:
    """Of the whole pod: non-root, the runtime's seccomp profile, volumes writable by its group. The user's fields win."""
    ours = {
        "runAsNonRoot": True,
        "runAsUser": settings.user_id,
        "runAsGroup": settings.user_id,
        "fsGroup": settings.user_id,
        # Without it the kubelet changes the owner of every file of a volume at every start: minutes on a large one.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return ours | users


def container_security() -> V1SecurityContext:
    """Of the trainer: no way to more rights, and a root file system that only its image decides."""
    return V1SecurityContext(
        allow_privilege_escalation=False,
        capabilities=V1Capabilities(drop=["ALL"]),
        read_only_root_filesystem=True,
    )


def sidecar_security(users: dict[str, Any]) -> dict[str, Any]:
    """Of a sidecar: what the standard asks of every container; its file system is its own affair. The user's fields win."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}} | users
