"""Claims that the scheduler takes for bound: on a fake node nothing is ever mounted, on real ones a folder of this machine."""

from __future__ import annotations

from pathlib import Path

CLAIMS = ("data", "runs")
"""What the examples name."""

SHAPE = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}


def volume(namespace: str, claim: str, folder: Path | None = None) -> dict[str, object]:
    """The PersistentVolume, kept for that claim. All real nodes see the same folder, as one of a network file system."""
    name = volume_name(namespace, claim)
    reserved = {"claimRef": {"namespace": namespace, "name": claim}}
    where = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder or f"/none/{name}")}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {**SHAPE, **where, **reserved}}


def volume_name(namespace: str, claim: str) -> str:
    return f"{namespace}-{claim}"


def volume_claim(namespace: str, claim: str) -> dict[str, object]:
    """The PersistentVolumeClaim."""
    wanted = {"resources": {"requests": {"storage": "1Gi"}}, "volumeName": volume_name(namespace, claim)}
    metadata = {"name": claim, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {**SHAPE, **wanted}}
