"""Claims that the scheduler takes for bound; nothing is ever mounted on a fake node."""

from __future__ import annotations

CLAIMS = ("data", "runs")
"""What the examples name."""

SHAPE = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}


def volume(namespace: str, claim: str) -> dict[str, object]:
    """The PersistentVolume, kept for that claim."""
    name = volume_name(namespace, claim)
    reserved = {"claimRef": {"namespace": namespace, "name": claim}}
    where = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": f"/none/{name}"}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {**SHAPE, **where, **reserved}}


def volume_name(namespace: str, claim: str) -> str:
    return f"{namespace}-{claim}"


def volume_claim(namespace: str, claim: str) -> dict[str, object]:
    """The PersistentVolumeClaim."""
    wanted = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": volume_name(namespace, claim)}
    metadata = {"name": claim, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {**SHAPE, **wanted}}
