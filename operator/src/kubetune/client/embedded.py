"""Jobs on the embedded cluster: read from its state directory, run in this process (docs/sdk.md)."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from kubetune.api import InvalidJob, parse_job
from kubetune.client.jobs import Event
from kubetune.client.pause import pause
from kubetune.client.running import LocalRun, Prepare
from kubetune.client.waiting import over
from kubetune.cluster import JOB_KIND, JOB_NAME, JOB_UID, ClusterError, Manifest, Queueing
from kubetune.controller.pods import pod_state, timestamp
from kubetune.local.cluster import LocalCluster, pod_directory, utc_now
from kubetune.local.loop import JobKey
from kubetune.local.preflight import problems
from kubetune.local.processes import PodProcess
from kubetune.local.settings import render_settings
from kubetune.local.state import JobLockedError, StateDir
from kubetune.local.store import Store, stored
from kubetune.local.takeup import never_trained, new_job, take_up, training_changes
from kubetune.local.volumes import write_configmap

LOOK_SECONDS = 0.2


class EmbeddedJobs:
    """`Jobs` over a state directory. Those that another process runs can be read, not changed."""

    def __init__(self, state_dir: Path, namespace: str = "default") -> None:
        """Raises ClusterError if the directory cannot be used."""
        try:
            self._state = StateDir.create(state_dir)
        except OSError as error:
            raise ClusterError(f"no cluster: {state_dir} cannot be used ({error}); name a directory that can be written") from error
        self.namespace = namespace
        self._runs: dict[JobKey, LocalRun] = {}
        atexit.register(self.close)

    def get(self, kind: str, namespace: str, name: str) -> Manifest | None:
        return stored(self._state.resources, kind, namespace, name)

    def all(self, kind: str, namespace: str | None) -> list[Manifest]:
        return Store(self._state.resources).select(kind, namespace)

    def create(self, document: Manifest) -> Manifest:
        """As `kubetune run` does, but that what Failed stays so until it is retried: as on a cluster."""
        job, key = parse_job(document), key_of(document)
        if found := problems(job, self._state, render_settings(self._state), os.environ):
            raise InvalidJob(found)
        there = self.get(job.kind, job.metadata.namespace, job.metadata.name)
        anew = there is None or (bool(training_changes(there, job)) and never_trained(there))
        if there and not anew and (over(there) or self._held(key) or training_changes(there, job)):
            raise ClusterError(f"{job.kind} {job.metadata.name} already exists", status=409, retryable=False)
        return self._run(key, partial(stored_anew if anew else taken_up, document))

    def put_configmap(self, manifest: Manifest) -> None:
        write_configmap(self._state, manifest["metadata"]["name"], manifest.get("data") or {})

    def patch(self, job: Manifest, change: Manifest) -> Manifest:
        """By the thread that drives the job; one that nobody drives is gone on with."""
        key = key_of(job)
        run = self._runs.get(key)
        if run and over(job):
            run.join()  # nothing drives it any more; what is left of its pods is ending
        elif run and run.running:
            return run.change(partial(changed, change=change))
        return self._run(key, partial(changed_in, key, change))

    def delete(self, job: Manifest) -> None:
        key = key_of(job)
        if run := self._runs.pop(key, None):
            run.stop(kill=True)
        LocalRun(self._state, key, partial(deleted, job)).stop()

    def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        return stored(self._state.resources, "PyTorchJob", namespace, name)

    def pods(self, namespace: str, job_uid: str) -> list[Manifest]:
        return Store(self._state.resources).select("Pod", namespace, {JOB_UID: job_uid})

    def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:  # noqa: ARG002 - the protocol's
        """Here every queue admits at once."""
        return Queueing(installed=False)

    def events(self, namespace: str, names: frozenset[str]) -> list[Event]:  # noqa: ARG002 - the file has no namespaces
        file = self._state.root / "events.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [Event(e["type"], e["reason"], e["message"], timestamp(e["time"])) for e in lines if e["job"] in names]

    def ensure_driven(self, job: Manifest) -> None:
        key = key_of(job)
        if over(job) or self._held(key):
            return
        now = self.get(key.kind, key.namespace, key.name)
        if now is None or over(now):  # it ended in between
            return
        run = self._runs.get(key)
        why = run.error if run and run.error else "nobody runs it: its process has ended; submit it again, and it goes on"
        raise ClusterError(f"{key.kind} {key.name}: {why}", status=400, retryable=False)

    def log(self, pod: Manifest, *, follow: bool, tail: int | None) -> Iterator[str]:
        """From the file that the pod's processes write."""
        file = self._log_file(pod)
        if not file.exists():
            return
        rest, skipped = "", tail is None
        with file.open(errors="replace") as stream:
            while True:
                last = not follow or self._ended(pod)  # asked before it is read: what is written in between is not missed
                *lines, rest = (rest + stream.read()).split("\n")
                yield from lines if skipped else lines[max(0, len(lines) - (tail or 0)) :]
                skipped = True
                if last:
                    yield from [rest] if rest else []
                    return
                pause(LOOK_SECONDS)

    def close(self) -> None:
        """Stops what runs in this process; it goes on when it is submitted again."""
        while self._runs:
            self._runs.popitem()[1].stop()

    def _run(self, key: JobKey, prepare: Prepare) -> Manifest:
        self._runs[key] = run = LocalRun(self._state, key, prepare)
        return run.job

    def _held(self, key: JobKey) -> bool:
        """Whether a thread of ours or another process drives the job."""
        if (run := self._runs.get(key)) and run.running:
            return True
        try:
            with self._state.lock(key.kind, key.namespace, key.name):
                return False
        except JobLockedError:
            return True

    def _log_file(self, pod: Manifest) -> Path:
        metadata = pod["metadata"]
        return PodProcess(pod_directory(self._state, metadata), metadata["uid"]).log_file

    def _ended(self, pod: Manifest) -> bool:
        metadata = pod["metadata"]
        now = stored(self._state.resources, "Pod", metadata["namespace"], metadata["name"])
        if now is None or now["metadata"]["uid"] != metadata["uid"] or pod_state(now).ended:
            return True
        labels = metadata["labels"]
        return not self._held(JobKey(labels[JOB_KIND], metadata["namespace"], labels[JOB_NAME]))


def key_of(job: Manifest) -> JobKey:
    return JobKey(job["kind"], job["metadata"]["namespace"], job["metadata"]["name"])


async def stored_anew(document: Manifest, cluster: LocalCluster) -> Manifest:
    """As a new job; one of its name that never trained gives way."""
    key = key_of(document)
    if there := cluster.store.get(key.kind, key.namespace, key.name):
        await cluster.delete_job(there)
    return cluster.store.put(new_job(document, utc_now()))


async def taken_up(document: Manifest, cluster: LocalCluster) -> Manifest:
    """An interrupted job of the same training goes on under the document's run policy."""
    key = key_of(document)
    there = cluster.store.get(key.kind, key.namespace, key.name)
    taken = take_up(there, document, parse_job(document)) if there else None
    return cluster.store.put(taken) if taken else await stored_anew(document, cluster)


async def changed_in(key: JobKey, change: Manifest, cluster: LocalCluster) -> Manifest:
    job = cluster.store.get(key.kind, key.namespace, key.name)
    if job is None:
        raise ClusterError(f"{key.kind} {key.name} does not exist", status=404, retryable=False)
    return cluster.store.put(changed(job, change=change))


async def deleted(job: Manifest, cluster: LocalCluster) -> None:
    await cluster.delete_job(job)
    cluster.refresh()  # its pods, of which nothing runs, go with it


def changed(job: Manifest, *, change: Manifest) -> Manifest:
    """As an API server stores a merge patch: another spec is another generation."""
    after: Manifest = merged(job, change)
    generation = job["metadata"].get("generation", 1) + (after["spec"] != job["spec"])
    return {**after, "metadata": {**after["metadata"], "generation": generation}}


def merged(before: Any, change: Any) -> Any:
    """RFC 7386: maps are merged, null removes, all else replaces."""
    if not isinstance(change, dict):
        return change
    kept = before if isinstance(before, dict) else {}
    names = [*kept, *(name for name in change if name not in kept)]
    values = {name: merged(kept.get(name), change[name]) if name in change else kept[name] for name in names}
    return {name: value for name, value in values.items() if value is not None or name not in change}
