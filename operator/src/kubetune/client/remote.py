"""Jobs on a Kubernetes cluster: requests to its API server with this user's rights."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from kubetune.api.base import API_VERSION
from kubetune.client.jobs import Event
from kubetune.client.pause import pause
from kubetune.client.refusals import unknown
from kubetune.cluster import JOB_UID, ClusterError, Manifest, Queueing
from kubetune.controller.kubernetes_api import APPLY, KubernetesApi, Request
from kubetune.controller.kubernetes_cluster import FEW_PODS, PYTORCHJOBS, jobs_path
from kubetune.controller.kueue import Kueue
from kubetune.controller.pods import CONTAINER, pod_state, timestamp

MANAGER = "kubetune-client"
"""Field manager of what users change through the client."""

STRICT = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
MERGE = "application/merge-patch+json"
TRIES = 4  # somebody waits for the answer: a few seconds
LOG_TIMEOUT = (10.0, 120.0)
"""Seconds to connect, and until a log that says nothing is asked for anew: the connection may be dead."""

RECONNECT_SECONDS = 1.0
LOG_OUTAGE_SECONDS = 300.0

Moment = tuple[datetime, str]
"""To the microsecond, and the three digits of nanoseconds that Python has no place for."""

LONG_AGO: Moment = (datetime.fromtimestamp(0, UTC), "000")


class RemoteJobs:
    """`Jobs` over an API server."""

    def __init__(self, api: KubernetesApi, namespace: str) -> None:
        self._api, self.namespace = api, namespace
        self._kueue = Kueue(api)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        job = self._read(f"{jobs_path(kind, namespace)}/{name}")
        return {"apiVersion": API_VERSION, "kind": kind, **job} if job else None

    def all(self, kind: str, namespace: str | None) -> list[Manifest]:
        items = self._api.items(jobs_path(kind, namespace), query={})
        return [{"apiVersion": API_VERSION, "kind": kind, **item} for item in items]

    def create(self, document: Manifest) -> Manifest:
        path = jobs_path(document["kind"], document["metadata"]["namespace"])
        return self._json(Request("POST", path, STRICT, document, tries=TRIES))

    def put_configmap(self, manifest: Manifest) -> None:
        metadata = manifest["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/configmaps/{metadata['name']}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", **manifest}
        self._json(Request("PATCH", path, {**STRICT, "force": "true"}, body, APPLY, tries=TRIES))

    def patch(self, job: Manifest, change: Manifest) -> Manifest:
        metadata = job["metadata"]
        body = {**change, "metadata": {**change.get("metadata", {}), "uid": metadata["uid"]}}
        path = f"{jobs_path(job['kind'], metadata['namespace'])}/{metadata['name']}"
        return {
            "apiVersion": API_VERSION,
            "kind": job["kind"],
            **self._json(Request("PATCH", path, STRICT, body, MERGE, tries=TRIES)),
        }

    def delete(self, job: Manifest) -> None:
        metadata = job["metadata"]
        path = f"{jobs_path(job['kind'], metadata['namespace'])}/{metadata['name']}"
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        try:
            self._json(Request("DELETE", path, body=body | {"preconditions": {"uid": metadata["uid"]}}, tries=TRIES))
        except ClusterError as error:
            if error.status not in (404, 409):  # gone, or the name is another job's by now
                raise

    def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        return self._read(f"{PYTORCHJOBS.format(namespace)}/{name}")

    def pods(self, namespace: str, job_uid: str) -> list[Manifest]:
        return self._api.items(f"/api/v1/namespaces/{namespace}/pods", query={"labelSelector": f"{JOB_UID}={job_uid}"})

    def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:
        return self._kueue.of(namespace, child_uid, queue)

    def events(self, namespace: str, names: frozenset[str]) -> list[Event]:
        """By name while they are few: a namespace may hold thousands of events."""
        path = f"/api/v1/namespaces/{namespace}/events"
        selectors = [{"fieldSelector": f"involvedObject.name={name}"} for name in sorted(names)] if len(names) <= FEW_PODS else [{}]
        items = [item for query in selectors for item in self._api.items(path, query=query)]
        found = [event(item) for item in items if item["involvedObject"].get("name") in names]
        return sorted(found, key=lambda each: each.last_seen.timestamp() if each.last_seen else 0.0)

    def ensure_driven(self, job: Manifest) -> None:
        """The operator's affair; whether there is one this user need not be allowed to know."""

    def log(self, pod: Manifest, *, follow: bool, tail: int | None) -> Iterator[str]:
        """Asked for anew after the last line that came, where the connection breaks before the container has ended."""
        seen, silent_since, last = Seen(tail), time.monotonic(), not follow
        while True:
            torn, broken = "", None
            try:
                for line in self._api.lines(self._log_request(pod, follow=not last, query=seen.ask())):
                    silent_since = time.monotonic()
                    torn = "" if line.endswith("\n") else line
                    yield from () if torn else seen.new(line[:-1])
            except ClusterError as error:
                if not follow or (not last and error.status is not None and not error.retryable):
                    raise
                broken = error
            if last:
                yield from seen.new(torn) if torn else ()  # the log itself ends without a newline
                return
            if broken and time.monotonic() - silent_since > LOG_OUTAGE_SECONDS:
                raise broken
            if not broken and self._ended(pod):
                last = True  # asked once more: a stream may end before its container, which said something in between
            else:
                pause(RECONNECT_SECONDS)

    def close(self) -> None:
        """Nothing is held."""

    def _log_request(self, pod: Manifest, *, follow: bool, query: Mapping[str, Any]) -> Request:
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
        following = {"follow": "true"} if follow else {}
        return Request("GET", path, {"container": CONTAINER, "timestamps": "true", **following, **query}, timeout=LOG_TIMEOUT)

    def _ended(self, pod: Manifest) -> bool:
        """Whether nothing more can come: the stream also ends when the API server restarts or a log is rotated."""
        metadata = pod["metadata"]
        now = self._read(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}")
        return now is None or now["metadata"]["uid"] != metadata["uid"] or pod_state(now).ended

    def _read(self, path: str) -> Manifest | None:
        try:
            return self._json(Request("GET", path, tries=TRIES))
        except ClusterError as error:
            if error.status == 404 and not unknown(str(error)):
                return None
            raise

    def _json(self, request: Request) -> Manifest:
        return self._api.json(request)


class Seen:
    """Which lines of a log have come already, by the time that the kubelet puts before each."""

    def __init__(self, tail: int | None) -> None:
        self._tail, self._last, self._known = tail, LONG_AGO, LONG_AGO

    def ask(self) -> dict[str, Any]:
        """From where to ask now. The API server knows whole seconds: lines of the last one come again."""
        self._known = self._last
        if self._known > LONG_AGO:
            return {"sinceTime": self._known[0].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {} if self._tail is None else {"tailLines": self._tail}

    def new(self, line: str) -> Iterator[str]:
        """The line without its time, if it did not come before."""
        stamp, _, text = line.partition(" ")
        moment = moment_of(stamp)
        if moment is None:  # the API server's own words
            yield line
        elif moment > self._known:
            self._last = max(moment, self._last)
            yield text


def moment_of(stamp: str) -> Moment | None:
    """RFC 3339 as the kubelet writes it; None if it is none."""
    try:
        when = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    fraction = re.search(r"\.(\d+)", stamp)
    return (when, (fraction[1] if fraction else "")[6:9].ljust(3, "0")) if when.tzinfo else None


def event(item: Manifest) -> Event:
    """One of core/v1, which has those of events.k8s.io as well."""
    about, series = item["involvedObject"], item.get("series") or {}
    seen = series.get("lastObservedTime") or item.get("lastTimestamp") or item.get("eventTime") or item.get("firstTimestamp")
    of_job = about.get("kind") in ("SFTJob", "OSFTJob")
    return Event(
        type=item.get("type", "Normal"),
        reason=item.get("reason", ""),
        message=item.get("message", ""),
        last_seen=timestamp(seen),
        count=int(series.get("count") or item.get("count") or 1),
        about="" if of_job else f"{about.get('kind')}/{about.get('name')}",
    )
