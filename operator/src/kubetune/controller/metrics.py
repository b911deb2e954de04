"""What the operator tells Prometheus. Label values are bounded: known words everywhere, names only of running jobs and capped."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from kubetune.api import KINDS
from kubetune.api.status import Phase
from kubetune.controller.known_jobs import ENDS, OTHER, KnownJobs, Seen
from kubetune.controller.kubernetes_api import Request
from kubetune_trainer.contract import FailureClass

MAX_JOBS = 200
"""So many running jobs have series of their own."""

WAITS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600)
RECONCILES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RESOURCES = frozenset({"sftjobs", "osftjobs", "pytorchjobs", "pods", "events", "leases", "rolebindings", "serviceaccounts"})
BY_JOB = ("kind", "namespace", "name")


class Metrics:
    """One registry, not the library's global one: two operators in one process do not mix."""

    def __init__(self, jobs: KnownJobs, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`now`: ages are counted from the reports' own times."""
        self.registry = CollectorRegistry()
        own = self.registry
        ProcessCollector(registry=own)
        own.register(JobCollector(jobs, now))
        self.attempts = Counter("kubetune_job_attempts", "Attempts started while this replica led.", ["kind"], registry=own)
        self.ends = Counter(
            "kubetune_job_attempt_ends",
            "Attempts that ended while this replica led, by how: Succeeded, Suspended, or the failure's class.",
            ["kind", "class"],
            registry=own,
        )
        self.restarts = Counter(
            "kubetune_job_restarts",
            "Restarts counted against backoffLimit while this replica led, by the class of the failure before.",
            ["kind", "class"],
            registry=own,
        )
        self.admission = Histogram(
            "kubetune_job_admission_seconds",
            "From a job's creation until its first attempt was admitted (no longer waits in a queue).",
            ["kind"],
            buckets=WAITS,
            registry=own,
        )
        self.first_step = Histogram(
            "kubetune_job_first_step_seconds",
            "From a job's creation until its first optimizer step was done.",
            ["kind"],
            buckets=WAITS,
            registry=own,
        )
        self.reconciles = Histogram(
            "kubetune_reconcile_seconds",
            "One reconcile, by its result: ok, or error (the cluster refused or did not answer).",
            ["kind", "result"],
            buckets=RECONCILES,
            registry=own,
        )
        self.queue_depth = Gauge("kubetune_queue_depth", "Jobs that wait to be reconciled.", registry=own)
        self.api_requests = Counter(
            "kubetune_api_writes",
            "Writes sent to the API server, retries included, by resource, verb and HTTP status (0: no answer).",
            ["resource", "verb", "code"],
            registry=own,
        )
        self.leader = Gauge("kubetune_leader", "1 on the replica that acts, 0 on a standby.", registry=own)
        self.watch_age = Gauge("kubetune_watch_event_age_seconds", "Since the watches told anything.", registry=own)
        self.sweep_age = Gauge("kubetune_sweep_age_seconds", "Since all jobs were listed with success.", registry=own)
        self.blind = Gauge(
            "kubetune_watch_blind_seconds",
            "Since two lists in a row showed what the watches have not told; 0: they owe nothing. Above 60, liveness fails.",
            registry=own,
        )

        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A counter that comes into being with 1 has no increase to be seen: the first failure of its class would be in no rate."""
        for kind in KINDS:
            self.attempts.labels(kind)
            self.admission.labels(kind)
            self.first_step.labels(kind)
            for end in (*ENDS, OTHER):
                self.ends.labels(kind, end)
            for failure in (*FailureClass, OTHER):
                self.restarts.labels(kind, str(failure))
            for result in ("ok", "error"):
                self.reconciles.labels(kind, result)

    def answered(self, request: Request, status: int | None) -> None:
        """Of one try of a request; reads are not counted."""
        if request.method != "GET":
            self.api_requests.labels(resource_of(request.path), verb_of(request), str(status or 0)).inc()

    def changed(self, before: Seen | None, after: Seen) -> None:
        """What happened between two sights of a job; `before` is None for a job just created."""
        kind = after.key.kind
        old = before or Seen(after.key, "")
        self.attempts.labels(kind).inc(max(0, after.attempt - old.attempt))
        news = max(0, after.ended - old.ended)
        for end in after.ends[len(after.ends) - min(news, len(after.ends)) :]:
            self.ends.labels(kind, end).inc()
        if after.restarts > old.restarts:
            self.restarts.labels(kind, after.ends[-1] if after.ends else OTHER).inc(after.restarts - old.restarts)
        if after.created and after.admitted and not old.admitted and after.attempt == 1:
            self.admission.labels(kind).observe(max(0.0, (after.admitted - after.created).total_seconds()))
        if after.created and after.reported and after.step and not old.step:
            self.first_step.labels(kind).observe(max(0.0, (after.reported - after.created).total_seconds()))


def resource_of(path: str) -> str:
    """The resource that a path of the API is about, with its subresource: `osftjobs/status`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[:1] == ["namespaces"]:
        rest = rest[2:]
    if not rest or rest[0] not in RESOURCES:
        return "other"
    return rest[0] + ("/status" if rest[2:] == ["status"] else "")


def verb_of(request: Request) -> str:
    """As RBAC calls it."""
    return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(request.method, "other")


class JobCollector(Collector):
    """Gauges made when asked: what no job has any more has no series."""

    def __init__(self, jobs: KnownJobs, now: Callable[[], datetime]) -> None:
        self._jobs, self._now = jobs, now

    def collect(self) -> Iterator[Metric]:
        jobs = self._jobs.all()
        yield self._counts(jobs)
        yield self._oldest(jobs)
        running = [job for job in jobs if job.phase == Phase.RUNNING]
        yield from self._running(sorted(running, key=lambda job: job.key))
        cut = GaugeMetricFamily(
            "kubetune_job_series_left_out", f"Running jobs beyond the {MAX_JOBS} that have series of their own.", labels=[]
        )
        cut.add_metric([], max(0, len(running) - MAX_JOBS))
        yield cut

    def describe(self) -> Iterator[Metric]:
        return self.collect()

    def _counts(self, jobs: list[Seen]) -> Metric:
        counts = GaugeMetricFamily(
            "kubetune_jobs",
            "Jobs in scope, by kind, phase and the class of their (last) failure (empty: none).",
            labels=["kind", "phase", "class"],
        )
        for (kind, phase, failure), number in sorted(Tally((j.key.kind, j.phase, j.failure) for j in jobs).items()):
            counts.add_metric([kind, phase, failure], number)
        return counts

    def _oldest(self, jobs: list[Seen]) -> Metric:
        """A count alone cannot tell one job that is stuck from a hundred that pass through."""
        oldest = GaugeMetricFamily(
            "kubetune_oldest_job_seconds",
            "For how long the job that has been in its phase longest is in it, by kind and phase; of jobs that are not over.",
            labels=["kind", "phase"],
        )
        since: dict[tuple[str, str], datetime] = {}
        for job in jobs:
            if job.since and not job.finished:
                which = (job.key.kind, job.phase)
                since[which] = min(job.since, since.get(which, job.since))
        for (kind, phase), moment in sorted(since.items()):
            oldest.add_metric([kind, phase], max(0.0, (self._now() - moment).total_seconds()))
        return oldest

    def _running(self, running: list[Seen]) -> Iterator[Metric]:
        progress = GaugeMetricFamily(
            "kubetune_job_progress_ratio", "Optimizer steps done of all, 0 to 1, of a running job.", labels=BY_JOB
        )
        age = GaugeMetricFamily("kubetune_job_report_age_seconds", "Since a running job's last step was reported.", labels=BY_JOB)
        for job in islice(running, MAX_JOBS):
            labels = [job.key.kind, job.key.namespace, job.key.name]
            if job.total:
                progress.add_metric(labels, min(1.0, job.step / job.total))
            if job.reported:
                age.add_metric(labels, max(0.0, (self._now() - job.reported).total_seconds()))
        yield from (progress, age)


def table() -> str:
    """All metrics of ours as Markdown, from the definitions themselves."""
    rows = sorted(_rows(Metrics(KnownJobs()).registry))
    head = "| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n"
    return head + "".join(f"| `{name}` | {kind} | {labels} | {text} |\n" for name, kind, labels, text in rows)


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, str, str, str]]:
    for collector in tuple(registry._collector_to_names):  # noqa: SLF001 - the library lists its collectors nowhere else
        for metric in collector.collect():
            if metric.name.startswith("kubetune_"):
                names = getattr(collector, "_labelnames", ()) or getattr(metric, "_labelnames", ())
                name = metric.name + ("_total" if metric.type == "counter" else "")
                yield name, metric.type, ", ".join(f"`{label}`" for label in names), metric.documentation
