"""Kueue's objects, read from the API server: the Workload of a PyTorchJob and its place in the queue. Blocking; thread-safe."""

from __future__ import annotations

import time
from collections.abc import Callable

from kubetune.cluster import ClusterError, Manifest, Queueing
from kubetune.controller.kubernetes_api import KubernetesApi, Request

JOB_UID = "kueue.x-k8s.io/job-uid"
"""Label of a Workload: the UID of the object that it stands for."""

GROUP, VISIBILITY = "kueue.x-k8s.io", "visibility.kueue.x-k8s.io"
DISCOVERY_SECONDS = 60.0
POSITIONS_SECONDS = 5.0


class Kueue:
    """Versions are discovered, so that one operator serves several Kueues; a queue's positions are read once for all its jobs."""

    def __init__(self, api: KubernetesApi, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._versions: dict[str, tuple[float, str | None]] = {}
        self._pending: dict[str, tuple[float, dict[str, Manifest]]] = {}

    def of(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        """Raises ClusterError, but for the position: without it the rest still holds."""
        version = self._version(GROUP)
        if version is None:
            return Queueing(installed=False)
        path = f"/apis/{GROUP}/{version}/namespaces/{namespace}/workloads"
        found = self._api.items(path, query={"labelSelector": f"{JOB_UID}={child_uid}"})
        if not found:
            return Queueing()
        workload = max(found, key=lambda each: str(each["metadata"].get("creationTimestamp", "")))
        return Queueing(workload=workload, pending=None if has_quota(workload) else self._position(namespace, queue, workload))

    def _position(self, namespace: str, queue: str, workload: Manifest) -> Manifest | None:
        version = self._version(VISIBILITY)
        if version is None:
            return None
        path = f"/apis/{VISIBILITY}/{version}/namespaces/{namespace}/localqueues/{queue}/pendingworkloads"
        read, pending = self._pending.get(path, (float("-inf"), {}))
        if self._clock() - read >= POSITIONS_SECONDS:
            pending = self._read_positions(path)
            self._pending[path] = (self._clock(), pending)
        return pending.get(workload["metadata"]["name"])

    def _read_positions(self, path: str) -> dict[str, Manifest]:
        try:
            answer = self._api.json(Request("GET", path, tries=1))
        except ClusterError:  # no such queue, no right, or Kueue is being restarted: what the Workload says is enough
            return {}
        return {each["metadata"]["name"]: each for each in answer.get("items") or []}

    def _version(self, group: str) -> str | None:
        """The preferred one; None if the API server has no such group."""
        looked, version = self._versions.get(group, (float("-inf"), None))
        if self._clock() - looked >= DISCOVERY_SECONDS:
            version = self._discover(group)
            self._versions[group] = (self._clock(), version)
        return version

    def _discover(self, group: str) -> str | None:
        try:
            answer = self._api.json(Request("GET", f"/apis/{group}"))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise
        return str(answer["preferredVersion"]["version"])


def has_quota(workload: Manifest) -> bool:
    conditions = (workload.get("status") or {}).get("conditions") or []
    return any(c["type"] == "QuotaReserved" and c["status"] == "True" for c in conditions)
