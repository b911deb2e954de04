"""`Cluster` over a real API server: the blocking client in threads, everything applied server-side under our field manager."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

from kubetune.api.base import API_VERSION, GROUP, VERSION
from kubetune.cluster import FIELD_MANAGER, HELD, JOB_UID, MANAGED_BY, NUDGED, RELEASED, REPORTER, ClusterError, Manifest, Queueing
from kubetune.controller.bounds import TRAINERS_PART, clip
from kubetune.controller.events import JobEvent
from kubetune.controller.kubernetes_api import APPLY, MERGE, KubernetesApi, Request
from kubetune.controller.kueue import Kueue
from kubetune.controller.pods import CONTAINER

logger = logging.getLogger(__name__)

PLURALS = {"SFTJob": "sftjobs", "OSFTJob": "osftjobs"}
PYTORCHJOBS = "/apis/kubeflow.org/v1/namespaces/{}/pytorchjobs"
NO_PYTORCHJOBS = "the API server knows no PyTorchJob: install the Kubeflow training operator"
UNKNOWN_KIND = "could not find the requested resource"
"""The API server's words for a path that it does not serve."""

OWN_APPLY = {"fieldManager": FIELD_MANAGER, "force": "true"}
POD_REFUSED = "FailedCreatePod"
"""The training operator's reason for an event about a pod that it could not create."""

REPORTER_SECONDS = 60.0
REFUSALS_SECONDS = 30.0
FEW_PODS = 8
PAGE = 250
"""Objects of a long list that are in memory at a time, some 50 KiB each."""

PROBE_TIMEOUT = (3.0, 5.0)
MAX_NOTE = 1000
"""events.k8s.io/v1: a note has at most 1 kB."""

T = TypeVar("T")


def jobs_path(kind: str, namespace: str | None) -> str:
    return f"/apis/{GROUP}/{VERSION}" + (f"/namespaces/{namespace}" if namespace else "") + f"/{PLURALS[kind]}"


class KubernetesCluster:
    """Every read goes to the API server itself: no decision is based on an old cache, but for a job that is new (newcomers.py)."""

    def __init__(self, api: KubernetesApi, executor: Executor | None = None, *, selector: str = "") -> None:
        """`executor`: whose threads wait for the answers; the event loop's own by default, which has few.

        `selector`: of the jobs to list, as the API server takes it (`team=a,tier!=test`).
        """
        self._api = api
        self._kueue = Kueue(api)
        self._selector = selector
        self._executor = executor
        self._reporting = asyncio.Lock()
        self._reporters: dict[str, float] = {}  # when they were last applied, by namespace
        self._searching = asyncio.Lock()
        self._refusals: dict[str, tuple[float, dict[str, str]]] = {}  # when they were searched for, and what was found

    async def get_job(self, kind: str, namespace: str, name: str) -> Manifest | None:
        job = await self._read(f"{jobs_path(kind, namespace)}/{name}")
        return {"apiVersion": API_VERSION, "kind": kind, **job} if job else None

    async def list_jobs(self, kind: str, namespace: str | None) -> AsyncIterator[Manifest]:
        """All jobs of a kind, in one namespace or in all; a page of them in memory at a time."""
        query: dict[str, Any] = {"limit": PAGE} | ({"labelSelector": self._selector} if self._selector else {})
        more: str | None = ""
        while more is not None:
            request = Request("GET", jobs_path(kind, namespace), {**query, "continue": more} if more else query)
            answer = await self._call(partial(self._api.json, request))
            more = answer.get("metadata", {}).get("continue") or None
            for job in answer.pop("items", None) or []:
                yield job

    async def probe(self) -> None:
        """One small request. Raises ClusterError if it is not answered soon."""
        request = Request("GET", f"/apis/{GROUP}/{VERSION}", tries=1, timeout=PROBE_TIMEOUT)
        await self._call(lambda: self._api.json(request))

    async def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        return await self._read(f"{PYTORCHJOBS.format(namespace)}/{name}")

    async def pods(self, namespace: str, job_uid: str, names: Sequence[str] = ()) -> list[Manifest]:
        """By name while they are few: to find pods by label the API server looks at every pod of the namespace."""
        path = f"/api/v1/namespaces/{namespace}/pods"
        if not 0 < len(names) <= FEW_PODS:
            return await self._call(lambda: self._api.items(path, query={"labelSelector": f"{JOB_UID}={job_uid}"}))
        found = [await self._read(f"{path}/{name}") for name in names]
        return [pod for pod in found if pod and pod["metadata"].get("labels", {}).get(JOB_UID) == job_uid]

    async def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        return await self._call(partial(self._kueue.of, namespace, child_uid, queue))

    async def pods_refused(self, namespace: str, child_uid: str) -> str:
        """From the training operator's events: its PyTorchJob says nothing of it.

        The API server looks at every event of the namespace for that: one search in half a minute answers for all its jobs.
        """
        async with self._searching:
            since, _ = self._refusals.get(namespace, (-REFUSALS_SECONDS, {}))
            if time.monotonic() - since >= REFUSALS_SECONDS:
                self._refusals[namespace] = time.monotonic(), await self._refused_pods(namespace)
            return self._refusals[namespace][1].get(child_uid, "")

    async def _refused_pods(self, namespace: str) -> dict[str, str]:
        """The newest refusal of each PyTorchJob, by its UID."""
        path, query = f"/api/v1/namespaces/{namespace}/events", {"fieldSelector": f"reason={POD_REFUSED}"}
        found = await self._call(lambda: self._api.items(path, query=query))
        found.sort(key=lambda each: each.get("lastTimestamp") or each.get("eventTime") or "")
        return {str(each["involvedObject"].get("uid")): str(each.get("message", "")) for each in found}

    async def ensure_reporter(self, namespace: str) -> None:
        """Applied again after a minute, in case somebody deleted one of them: a thousand jobs cost two writes a minute."""
        async with self._reporting:  # a burst asks for it many times at once
            if time.monotonic() - self._reporters.get(namespace, -REPORTER_SECONDS) < REPORTER_SECONDS:
                return
            for path, manifest in reporter_manifests(namespace):
                await self._call(partial(self._api.json, Request("PATCH", path, OWN_APPLY, manifest, APPLY)))
            self._reporters[namespace] = time.monotonic()

    async def apply_pytorchjob(self, manifest: Manifest, *, new: bool = False) -> Manifest:
        metadata = manifest["metadata"]
        folder = PYTORCHJOBS.format(metadata["namespace"])
        apply = Request("PATCH", f"{folder}/{metadata['name']}", OWN_APPLY, manifest, APPLY)
        request = Request("POST", folder, {"fieldManager": FIELD_MANAGER}, manifest) if new else apply
        try:
            return await self._call(lambda: self._api.json(request))
        except ClusterError as error:
            if error.status == 404 and UNKNOWN_KIND in str(error):
                raise ClusterError(NO_PYTORCHJOBS, status=404) from error
            raise

    async def nudge_pytorchjob(self, namespace: str, name: str, uid: str, now: datetime) -> None:
        await self._patch_pytorchjob(namespace, name, uid, {NUDGED: now.strftime("%Y-%m-%dT%H:%M:%SZ")})

    async def release_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        await self._patch_pytorchjob(namespace, name, uid, {HELD: RELEASED}, {"spec": {"runPolicy": {"suspend": False}}})

    async def _patch_pytorchjob(
        self, namespace: str, name: str, uid: str, annotations: dict[str, str], more: Manifest | None = None
    ) -> None:
        """A merge patch: the annotations of the apply stay whose they are. 422: another object, whose UID cannot be changed."""
        body = {"metadata": {"uid": uid, "annotations": annotations}, **(more or {})}
        path = f"{PYTORCHJOBS.format(namespace)}/{name}"
        try:
            await self._call(lambda: self._api.json(Request("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, MERGE)))
        except ClusterError as error:
            if error.status not in (404, 409, 422):
                raise

    async def delete_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        await self._delete(f"{PYTORCHJOBS.format(namespace)}/{name}", uid)

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        await self._delete(f"/api/v1/namespaces/{namespace}/pods/{name}", uid)

    async def delete_job(self, job: Manifest) -> None:
        metadata = job["metadata"]
        await self._delete(f"{jobs_path(job['kind'], metadata['namespace'])}/{metadata['name']}", metadata["uid"])

    async def write_status(self, job: Manifest, status: Manifest) -> None:
        """With resourceVersion as precondition: a status is true of the version that was read, and of no other."""
        metadata = job["metadata"]
        body = {
            "apiVersion": API_VERSION,
            "kind": job["kind"],
            "metadata": {key: metadata[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "status": status,
        }
        path = f"{jobs_path(job['kind'], metadata['namespace'])}/{metadata['name']}/status"
        try:
            await self._call(lambda: self._api.json(Request("PATCH", path, OWN_APPLY, body, APPLY)))
        except ClusterError as error:
            if error.status != 409 or not await self._stands(job, status):
                raise

    async def _stands(self, job: Manifest, status: Manifest) -> bool:
        """Whether it was written after all: the answer was lost, and the next try met a version that was our own."""
        try:
            stored = await self.get_job(job["kind"], job["metadata"]["namespace"], job["metadata"]["name"])
        except ClusterError:
            return False
        if stored is None or stored["metadata"]["uid"] != job["metadata"]["uid"]:
            return False
        return {key: value for key, value in (stored.get("status") or {}).items() if key not in TRAINERS_PART} == status

    async def log_tail(self, namespace: str, pod: str, lines: int) -> str:
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        request = Request("GET", path, {"container": CONTAINER, "tailLines": lines}, tries=2)  # a lost node's kubelet stays silent
        try:
            return await self._call(lambda: self._api.text(request))
        except ClusterError as error:
            if error.status in (400, 404):  # not started, or gone
                return ""
            raise

    async def event(self, job: Manifest, kind: Literal["Normal", "Warning"], reason: str, message: str, once: str) -> None:
        body = event_manifest(job, JobEvent(kind, reason, message, once), datetime.now(UTC))
        path = f"/apis/events.k8s.io/v1/namespaces/{job['metadata']['namespace']}/events"
        try:
            await self._call(lambda: self._api.json(Request("POST", path, body=body)))
        except ClusterError as error:
            if error.status != 409:  # it was published before
                logger.warning("the event %s could not be published: %s", reason, error)

    async def _read(self, path: str) -> Manifest | None:
        try:
            return await self._call(lambda: self._api.json(Request("GET", path)))
        except ClusterError as error:
            if error.status == 404:
                return None
            raise

    async def _delete(self, path: str, uid: str) -> None:
        """404: it is gone; 409: another object bears the name, so ours is gone as well."""
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._call(lambda: self._api.json(Request("DELETE", path, body=body)))
        except ClusterError as error:
            if error.status not in (404, 409):
                raise

    async def _call(self, request: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, request)


def reporter_manifests(namespace: str) -> tuple[tuple[str, Manifest], ...]:
    """(path, manifest) of the masters' ServiceAccount and of what lets it report: the ClusterRole of the same name (deploy/).

    The field automountServiceAccountToken is false, so that only a pod that asks for the token gets it.
    """
    group = "rbac.authorization.k8s.io"
    metadata = {"name": REPORTER, "namespace": namespace, "labels": {MANAGED_BY: "kubetune"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": False}
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": REPORTER},
        "subjects": [{"kind": "ServiceAccount", "name": REPORTER, "namespace": namespace}],
    }
    return (
        (f"/api/v1/namespaces/{namespace}/serviceaccounts/{REPORTER}", account),
        (f"/apis/{group}/v1/namespaces/{namespace}/rolebindings/{REPORTER}", binding),
    )


def event_manifest(job: Manifest, event: JobEvent, now: datetime) -> dict[str, Any]:
    """An events.k8s.io/v1 Event. Its name follows from what it tells of, so that a repeated request makes no second one."""
    metadata = job["metadata"]
    digest = hashlib.sha256(f"{metadata['uid']} {event.reason} {event.once}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "eventTime": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": event.kind,
        "reason": event.reason,
        "action": "Reconcile",
        "note": clip(event.message, MAX_NOTE),
        "reportingController": "kubetune.dev/controller",
        "reportingInstance": "kubetune",
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": job["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion", ""),
        },
    }
