"""The client: one object for all that a user does with jobs, on a cluster or on the embedded one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kubetune.api import Job, JobStatus, Phase, parse_status
from kubetune.client import changing, reading
from kubetune.client.errors import JobFailedError
from kubetune.client.jobs import Event, Jobs
from kubetune.client.logs import Choice, LogLine, stream
from kubetune.client.progress import Silent, display
from kubetune.client.reading import told
from kubetune.client.seen import JobList, SeenJob
from kubetune.client.submission import Given, submit
from kubetune.client.targets import KINDS, Target, kind_named, parse_target
from kubetune.client.waiting import over, wait
from kubetune.cluster import Manifest, Queueing
from kubetune_trainer.contract import Checkpoint

if TYPE_CHECKING:
    from kubetune.client.handle import JobHandle

Named = str | SeenJob | Job
"""A job: its name, `kind/name`, a handle, or the model that was submitted."""


class Client:
    """Blocking; thread-safe. Every method may raise what `kubetune.client.errors` has."""

    def __init__(
        self,
        kubeconfig: str | PathLike[str] | None = None,
        *,
        context: str | None = None,
        namespace: str | None = None,
        jobs: Jobs | None = None,
    ) -> None:
        """Finds the cluster as kubectl does: what is named here, KUBECONFIG, ~/.kube/config, the pod's own account.

        `namespace`: of jobs that name none; default: the context's, or the pod's. `jobs`: where they are instead of on a
        cluster. No request is sent yet.
        """
        self._jobs = jobs or remote_jobs(fspath(kubeconfig) if kubeconfig else None, context, namespace)

    @classmethod
    def local(cls, state_dir: str | PathLike[str] = ".kubetune", *, namespace: str = "default") -> Self:
        """The same on the embedded cluster: jobs run on this machine, in processes of their own, as `kubetune run` runs them.

        They go on while this process lives; when it ends they are stopped and saved, and go on when they are submitted again.
        """
        from kubetune.client.embedded import EmbeddedJobs

        with told():
            return cls(jobs=EmbeddedJobs(Path(state_dir), namespace))

    @property
    def namespace(self) -> str:
        """Where jobs are meant to be that name no namespace."""
        return self._jobs.namespace

    def get(self, job: Named) -> JobHandle:
        """The job as it is now. A name without a kind is looked for among both kinds."""
        return self._handle(self._find(job))

    def list(self, kind: str | None = None, *, all_namespaces: bool = False) -> JobList[JobHandle]:
        """All jobs, oldest first: of one kind (any of its names) or of both."""
        kinds = (kind_named(kind),) if kind else tuple(KINDS)
        with told():
            found = reading.find_all(self._jobs, kinds, None if all_namespaces else self.namespace)
        return JobList(self._handle(job) for job in found)

    def status(self, job: Named) -> JobStatus:
        """The status as it is now."""
        return parse_status(self._find(job).get("status") or {})

    def pods(self, job: Named, *, attempt: int | None = None) -> Sequence[Manifest]:
        """Its pods in Kubernetes' JSON form, of one attempt or of all; each attempt's master first."""
        with told():
            return reading.pods(self._jobs, self._find(job), attempt)

    def pytorchjob(self, job: Named, *, attempt: int | None = None) -> Manifest | None:
        """The PyTorchJob of that attempt, by default of the last one; None if it is not there (any more)."""
        with told():
            return reading.child(self._jobs, self._find(job), attempt)

    def queueing(self, job: Named) -> Queueing | None:
        """What Kueue says of the last attempt; None if it stands in no queue."""
        with told():
            return reading.queueing(self._jobs, self._find(job))

    def events(self, job: Named, *, all_objects: bool = False) -> Sequence[Event]:
        """What was published about it, oldest first; with `all_objects` about its PyTorchJobs and pods, too."""
        with told():
            return reading.events(self._jobs, self._find(job), all_objects=all_objects)

    def submit(self, job: Given) -> JobHandle:
        """Stores a new job: a model, a document as YAML has it, or the path of a job file. The same one again is no second job.

        Raises InvalidJob with field, value and remedy of everything that is wrong, ConflictError if another one has its name.
        """
        with told():
            return self._handle(submit(self._jobs, job))

    def wait(self, job: Named, *, timeout: float | None = None, progress: bool = False, raise_on_failure: bool = True) -> JobHandle:
        """Until it has Succeeded or Failed; the job as it then is. `progress`: shows it meanwhile, on standard error.

        Raises JobFailedError unless told not to, WaitTimeoutError after `timeout` seconds, NotFoundError if it is deleted.
        """
        known = job.manifest if isinstance(job, SeenJob) else None
        job_now = known if known and not over(known) else self._find(job)  # the cluster may be away already now
        with told(), display(job_now) if progress else Silent() as shown:
            ended = wait(self._jobs, job_now, timeout=timeout, show=shown.show)
        handle = self._handle(ended)
        if raise_on_failure and handle.phase is Phase.FAILED:
            raise JobFailedError(str(handle), handle.seen_status)
        return handle

    def logs(self, job: Named, *, rank: int | None = 0, attempt: int | None = None, tail: int | None = None) -> str:
        """The log so far of a node (0: the master; None: of all, each line with its rank), by default of the last attempt.

        Raises NoLogError if there is none (any more).
        """
        lines = self.stream(job, rank=rank, attempt=attempt, tail=tail, follow=False)
        return "".join(f"{line.labelled if rank is None else line}\n" for line in lines)

    def stream(
        self, job: Named, *, rank: int | None = 0, attempt: int | None = None, tail: int | None = None, follow: bool = True
    ) -> Iterator[LogLine]:
        """The log's lines as they come: of the last attempt and those that follow it until the job ends, or of that one alone."""
        with told():
            yield from stream(self._jobs, self._find(job), Choice(rank, attempt, tail, follow))

    def suspend(self, job: Named) -> JobHandle:
        """Ends its pods, which save before; it keeps its history, and goes on from there when it is resumed."""
        with told():
            return self._handle(changing.suspend(self._jobs, self._find(job)))

    def resume(self, job: Named) -> JobHandle:
        """Lets a suspended job go on."""
        with told():
            return self._handle(changing.resume(self._jobs, self._find(job)))

    def retry(self, job: Named) -> JobHandle:
        """Another attempt of a job that Failed, from its last verified state, with a full backoffLimit (docs/sdk.md)."""
        with told():
            return self._handle(changing.retry(self._jobs, self._find(job)))

    def delete(self, job: Named) -> None:
        """Deletes the job and its pods. What it wrote to its output stays."""
        with told():
            self._jobs.delete(self._find(job))

    def checkpoints(self, job: Named, *, verified: bool = True) -> Sequence[Checkpoint]:
        """Those that its status lists, oldest first: the verified ones, or all."""
        return [each for each in self.status(job).checkpoints if each.verified or not verified]

    def close(self) -> None:
        """Lets go of what is held. Jobs of `Client.local` that run in this process are stopped, after they were saved."""
        self._jobs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _handle(self, job: Manifest) -> JobHandle:
        from kubetune.client.handle import JobHandle  # which is made of this class

        return JobHandle(self, job)

    def _find(self, job: Named) -> Manifest:
        with told():
            return reading.find(self._jobs, self._target(job))

    def _target(self, job: Named) -> Target:
        if isinstance(job, str):
            return parse_target(job, self.namespace)
        if isinstance(job, SeenJob):
            return Target(job.name, job.namespace, job.kind)
        named = "namespace" in job.metadata.model_fields_set
        return Target(job.metadata.name, job.metadata.namespace if named else self.namespace, job.kind)


def remote_jobs(kubeconfig: str | None, context: str | None, namespace: str | None) -> Jobs:
    """Raises NoClusterError."""
    from kubetune.client.connection import find  # the Kubernetes client takes half a second, and local jobs need none
    from kubetune.client.remote import RemoteJobs

    with told():
        api, usual = find(kubeconfig, context)
    return RemoteJobs(api, namespace or usual)
