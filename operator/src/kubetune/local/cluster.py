"""The embedded cluster: kubetune.cluster.Cluster in memory and a state directory, with pods that are local processes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from kubetune.cluster import ATTEMPT, JOB_UID, ClusterError, Manifest, Queueing
from kubetune.local import devices, pods, training_operator
from kubetune.local.processes import PodProcess
from kubetune.local.reports import merge_report, read_report
from kubetune.local.state import StateDir
from kubetune.local.store import Store
from kubetune.local.training_operator import PREFIX, timestamp
from kubetune_trainer.contract import REPORT_FILE_ENV, TERMINATION_LOG_ENV

log = logging.getLogger(__name__)

DEFAULT_GRACE_SECONDS = 30  # Kubernetes' own

REPORT_SECONDS = "0.5"
"""How often the trainer reports. A file costs nothing, unlike an API server that thousands of jobs share: there it is 10 s."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class LocalCluster:
    """Every read first brings the objects up to date with the processes; `refresh` does so without a read."""

    def __init__(
        self,
        state: StateDir,
        *,
        clock: Callable[[], datetime] = utc_now,
        environment: Mapping[str, str] | None = None,
        on_event: Callable[[Manifest], None] | None = None,
    ) -> None:
        """Takes up what an earlier process left in `state`; pods of an adopted job, which ended with it, are seen as failed.

        Args:
            state: where everything is kept.
            clock: the time, in UTC.
            environment: what pods inherit in place of an image's variables; default: this process's.
            on_event: is told every event.

        """
        self.state, self._clock, self._on_event = state, clock, on_event
        self._environment = dict(os.environ if environment is None else environment)
        self.store = Store(state.resources)
        self._processes: dict[str, PodProcess] = {}
        self._mine: set[str] = set()

    def adopt(self, job_uid: str) -> None:
        """Answers from now on for that job's pods and PyTorchJobs. Those of other jobs may be another process's: hands off."""
        self._mine.add(job_uid)

    @property
    def version(self) -> int:
        """Differs as soon as any object changed."""
        return self.store.version

    # -- kubetune.cluster.Cluster -------------------------------------------------------------------------------------

    async def get_job(self, kind: str, namespace: str, name: str) -> Manifest | None:
        self.refresh()
        return self.store.get(kind, namespace, name)

    async def pytorchjob(self, namespace: str, name: str) -> Manifest | None:
        self.refresh()
        return self.store.get("PyTorchJob", namespace, name)

    async def pods(self, namespace: str, job_uid: str, names: Sequence[str] = ()) -> list[Manifest]:  # noqa: ARG002 - few anyway
        self.refresh()
        return self.store.select("Pod", namespace, {JOB_UID: job_uid})

    async def queueing(self, namespace: str, child_uid: str, queue: str) -> Queueing:  # noqa: ARG002 - the protocol's
        """Nothing to say: here every queue admits at once."""
        return Queueing(installed=False)

    async def pods_refused(self, namespace: str, child_uid: str) -> str:  # noqa: ARG002 - the protocol's
        """Nobody refuses: a process that cannot be started is a pod that failed."""
        return ""

    async def ensure_reporter(self, namespace: str) -> None:
        """Nothing to do: its pods report by a file."""

    async def apply_pytorchjob(self, manifest: Manifest, *, new: bool = False) -> Manifest:
        metadata, spec = manifest["metadata"], manifest["spec"]
        self.adopt(metadata["labels"][JOB_UID])
        admitted = {key: value for key, value in spec.get("runPolicy", {}).items() if key != "suspend"}
        manifest = manifest | {"spec": spec | {"runPolicy": admitted}}
        stored = self.store.get("PyTorchJob", metadata["namespace"], metadata["name"])
        if stored and new:
            raise ClusterError(f"PyTorchJob {metadata['name']} exists already", status=409)
        if stored is None:
            born = {"uid": str(uuid4()), "creationTimestamp": timestamp(self._clock()), "generation": 1}
            stored = self._create(manifest | {"metadata": metadata | born})
        else:
            changed = stored["spec"] != manifest["spec"]
            merged = stored["metadata"] | metadata | {"generation": stored["metadata"]["generation"] + changed}
            stored = self.store.put(stored | manifest | {"metadata": merged})
        self.refresh()
        return self.store.get("PyTorchJob", metadata["namespace"], metadata["name"]) or stored

    async def nudge_pytorchjob(self, namespace: str, name: str, uid: str, now: datetime) -> None:
        """Nothing to do: here a PyTorchJob's pods are made with it."""

    async def release_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        """Nothing to do: here none is suspended."""

    async def delete_pytorchjob(self, namespace: str, name: str, uid: str) -> None:
        stored = self.store.get("PyTorchJob", namespace, name)
        if stored is None or stored["metadata"]["uid"] != uid:
            return
        self.store.delete("PyTorchJob", namespace, name)
        for pod in self._pods_of(stored):
            self._delete_pod(pod)

    async def delete_pod(self, namespace: str, name: str, uid: str) -> None:
        stored = self.store.get("Pod", namespace, name)
        if stored is not None and stored["metadata"]["uid"] == uid:
            self._delete_pod(stored)

    async def delete_job(self, job: Manifest) -> None:
        metadata = job["metadata"]
        stored = self.store.get(job["kind"], metadata["namespace"], metadata["name"])
        if stored is None or stored["metadata"]["uid"] != metadata["uid"]:
            return
        self.store.delete(job["kind"], metadata["namespace"], metadata["name"])
        await self.delete_children(stored)

    async def delete_children(self, job: Manifest) -> None:
        """What a Kubernetes garbage collector does for a job that is gone: its PyTorchJobs and their pods end."""
        metadata = job["metadata"]
        self.adopt(metadata["uid"])
        for child in self.store.select("PyTorchJob", metadata["namespace"], {JOB_UID: metadata["uid"]}):
            await self.delete_pytorchjob(metadata["namespace"], child["metadata"]["name"], child["metadata"]["uid"])

    async def write_status(self, job: Manifest, status: Manifest) -> None:
        metadata = job["metadata"]
        stored = self.store.get(job["kind"], metadata["namespace"], metadata["name"])
        if stored is None:
            raise ClusterError(f"{job['kind']} {metadata['name']} does not exist", status=404, retryable=False)
        trainers = {field: value for field, value in stored.get("status", {}).items() if field in ("progress", "checkpoints")}
        operators = {field: value for field, value in status.items() if field not in ("progress", "checkpoints")}
        stored["metadata"]["resourceVersion"] = metadata["resourceVersion"]
        self.store.put(stored | {"status": operators | trainers})

    async def log_tail(self, namespace: str, pod: str, lines: int) -> str:
        stored = self.store.get("Pod", namespace, pod)
        return self.process(stored).log_tail(lines) if stored else ""

    async def event(self, job: Manifest, kind: Literal["Normal", "Warning"], reason: str, message: str, once: str) -> None:
        file, name = self.state.root / "events.jsonl", [job["metadata"]["uid"], reason, once]
        told = file.read_text().splitlines() if file.exists() else []
        if any(json.loads(line)["name"] == name for line in told):
            return
        event = {
            "time": timestamp(self._clock()),
            "type": kind,
            "reason": reason,
            "message": message,
            "job": job["metadata"]["name"],
            "name": name,
        }
        with file.open("a") as lines:
            lines.write(json.dumps(event) + "\n")
        if self._on_event is not None:
            self._on_event(event)

    # -- the machinery behind it --------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Brings reports, pods and PyTorchJobs up to date with what the processes did."""
        for pod in self._adopted("Pod"):
            self._refresh_pod(pod)
        for job in self._adopted("PyTorchJob"):
            self._refresh_pytorchjob(job)

    async def close(self, *, kill: bool = False) -> None:
        """Ends all pods, by SIGTERM and their grace period (or at once), and returns when nothing of them runs."""
        living = [process for process in self._processes.values() if process.running]
        for process in living:
            process.kill() if kill else process.terminate()
        await asyncio.gather(*(asyncio.to_thread(process.wait) for process in living))

    def process(self, pod: Manifest) -> PodProcess:
        """The pod's processes; those of an earlier kubetune are not running."""
        metadata = pod["metadata"]
        return self._processes.setdefault(metadata["uid"], PodProcess(pod_directory(self.state, metadata), metadata["uid"]))

    def _adopted(self, kind: str) -> list[Manifest]:
        return [each for uid in sorted(self._mine) for each in self.store.select(kind, labels={JOB_UID: uid})]

    def _create(self, job: Manifest) -> Manifest:
        """Stores the PyTorchJob and starts its pods; raises ClusterError, and leaves nothing, if they cannot be started."""
        started = [] if training_operator.suspended(job) else self._prepare(job)
        stored = self.store.put(job)
        for pod, process, command, environment in started:
            self.store.put(pod)
            grace = pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
            work_dir = pods.container(pod).get("workingDir")
            process.start(command, environment, grace, Path(work_dir) if work_dir else None)
        return stored

    def _prepare(self, job: Manifest) -> list[tuple[Manifest, PodProcess, list[str], dict[str, str]]]:
        wanted = training_operator.desired_pods(job, free_port())
        born = {"creationTimestamp": timestamp(self._clock())}
        wanted = [
            pod | {"metadata": pod["metadata"] | born | {"uid": str(uuid4())}, "status": {"phase": "Pending"}} for pod in wanted
        ]
        try:
            shares = devices.shares(wanted, devices.gpus(self._environment))
        except ValueError as error:
            raise ClusterError(str(error), retryable=False) from error
        return [self._prepare_pod(pod, share) for pod, share in zip(wanted, shares, strict=True)]

    def _prepare_pod(self, pod: Manifest, gpus: list[str]) -> tuple[Manifest, PodProcess, list[str], dict[str, str]]:
        process = self.process(pod)
        environment = pods.environment(pod, self._environment, self.state.configmaps)
        environment |= {REPORT_FILE_ENV: str(process.report_file), TERMINATION_LOG_ENV: str(process.termination_log)}
        environment.setdefault("KUBETUNE_REPORT_INTERVAL_SECONDS", REPORT_SECONDS)
        environment |= {"CUDA_VISIBLE_DEVICES": ",".join(gpus)}  # a pod sees the GPUs that it asked for, and no other
        return pod, process, pods.command(pod, environment), environment

    def _pods_of(self, job: Manifest) -> list[Manifest]:
        found = self.store.select("Pod", job["metadata"]["namespace"], {f"{PREFIX}/job-name": job["metadata"]["name"]})
        return [pod for pod in found if pod["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]]

    def _refresh_pod(self, pod: Manifest) -> None:
        process, deleted = self.process(pod), "deletionTimestamp" in pod["metadata"]
        if pod["status"]["phase"] not in ("Succeeded", "Failed"):
            record = process.record()
            self._merge_report(pod)
            message = process.termination_log.read_text(errors="replace") if process.termination_log.exists() else ""
            self.store.put(pod | {"status": pods.pod_status(pod, record, message)})
        if deleted and not process.running:
            self.store.delete("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])

    def _refresh_pytorchjob(self, job: Manifest) -> None:
        owned = self._pods_of(job)
        job["status"] = training_operator.job_status(job, owned, self._clock())
        self.store.put(job)
        policy = job["spec"].get("runPolicy", {}).get("cleanPodPolicy", "None")
        if training_operator.finished(job) and policy != "None":
            owned = [pod for pod in owned if policy == "All" or pod["status"]["phase"] in ("Pending", "Running")]
        elif not training_operator.suspended(job):
            return
        for pod in owned:
            self._delete_pod(pod)

    def _delete_pod(self, pod: Manifest) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        grace = pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
        pod["metadata"]["deletionTimestamp"] = timestamp(self._clock() + timedelta(seconds=grace))
        self.store.put(pod)
        self.process(pod).terminate()

    def _merge_report(self, pod: Manifest) -> None:
        """Only the master of the latest attempt reports; one of an earlier attempt that still runs is no longer heard."""
        metadata = pod["metadata"]
        attempt = int(metadata["labels"].get(ATTEMPT, 0))
        owner = self._owner_job(pod)
        if owner is None or metadata["labels"][f"{PREFIX}/replica-type"] != "master" or attempt < self._latest_attempt(metadata):
            return
        try:
            report = read_report(self.process(pod).report_file)
        except ValueError:
            log.exception("the report of pod %s is left out", metadata["name"])
            return
        if report is not None and report.attempt == attempt:
            self.store.put(owner | {"status": merge_report(owner.get("status", {}), report)})

    def _latest_attempt(self, metadata: dict[str, Any]) -> int:
        siblings = self.store.select("Pod", metadata["namespace"], {JOB_UID: metadata["labels"].get(JOB_UID, "")})
        return max((int(pod["metadata"]["labels"].get(ATTEMPT, 0)) for pod in siblings), default=0)

    def _owner_job(self, pod: Manifest) -> Manifest | None:
        """The SFTJob or OSFTJob by its UID; None for a PyTorchJob that nobody's job stands behind."""
        uid = pod["metadata"]["labels"].get(JOB_UID)
        jobs = [job for kind in ("SFTJob", "OSFTJob") for job in self.store.select(kind, pod["metadata"]["namespace"])]
        return next((job for job in jobs if job["metadata"].get("uid") == uid), None)


def pod_directory(state: StateDir, metadata: Mapping[str, Any]) -> Path:
    """Where a pod's log, working directory and last words are."""
    return state.pods / str(metadata["namespace"]) / f"{metadata['name']}-{metadata['uid'][:8]}"


def free_port() -> int:
    """A TCP port that nothing listens on now, for one attempt's rendezvous."""
    with socket.socket() as probe:
        probe.bind((training_operator.MASTER_ADDR, 0))
        return int(probe.getsockname()[1])
