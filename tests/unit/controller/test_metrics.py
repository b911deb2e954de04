from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fake_cluster import job
from prometheus_client import generate_latest

from kubetune.controller.known_jobs import KnownJobs, seen
from kubetune.controller.kubernetes_api import Request
from kubetune.controller.metrics import MAX_JOBS, Metrics, resource_of, table

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
CREATED = "2026-01-01T00:00:00Z"


def sight(name: str = "a", kind: str = "SFTJob", **status):
    body = job(kind, name=name) | {"status": status}
    body["metadata"]["creationTimestamp"] = CREATED
    return seen(kind, body)


def metrics(*jobs) -> Metrics:
    known = KnownJobs()
    for number, each in enumerate(jobs):
        known.update(str(number), each)
    return Metrics(known, lambda: NOW)


def value(it: Metrics, series: str, /, **labels: str) -> float | None:
    return it.registry.get_sample_value(series, labels)


def ended(number: int, reason: str) -> dict:
    return {"number": number, "ended": CREATED, "reason": reason}


def test_jobs_are_counted_by_kind_phase_and_class():
    it = metrics(
        sight(), sight("b"), sight("c", phase="Failed", failure={"class": "CudaOOM"}), sight("d", "OSFTJob", phase="Running")
    )
    count = {"kind": "SFTJob", "phase": "Pending", "class": ""}
    assert value(it, "kubetune_jobs", **count) == 2
    assert value(it, "kubetune_jobs", **count | {"phase": "Failed", "class": "CudaOOM"}) == 1
    assert value(it, "kubetune_jobs", kind="OSFTJob", phase="Running", **{"class": ""}) == 1


def test_attempts_ends_and_restarts_are_counted_once_each():
    it = metrics()
    first = sight(attempts=[{"number": 1}])
    second = sight(attempts=[ended(1, "CudaOOM"), {"number": 2}], restarts=1)
    third = sight(attempts=[ended(1, "CudaOOM"), ended(2, "Succeeded")], restarts=1, phase="Succeeded")
    it.changed(None, first)
    for before, after in [(first, first), (first, second), (second, second), (second, third), (third, third)]:
        it.changed(before, after)
    assert value(it, "kubetune_job_attempts_total", kind="SFTJob") == 2
    assert value(it, "kubetune_job_attempt_ends_total", kind="SFTJob", **{"class": "CudaOOM"}) == 1
    assert value(it, "kubetune_job_attempt_ends_total", kind="SFTJob", **{"class": "Succeeded"}) == 1
    assert value(it, "kubetune_job_restarts_total", kind="SFTJob", **{"class": "CudaOOM"}) == 1


def test_what_has_not_happened_yet_is_counted_as_zero_so_that_the_first_time_is_an_increase():
    it = metrics()
    for kind in ("SFTJob", "OSFTJob"):
        assert value(it, "kubetune_job_attempts_total", kind=kind) == 0
        assert value(it, "kubetune_job_attempt_ends_total", kind=kind, **{"class": "Succeeded"}) == 0
        assert value(it, "kubetune_job_restarts_total", kind=kind, **{"class": "HostOOM"}) == 0
        assert value(it, "kubetune_job_restarts_total", kind=kind, **{"class": "Other"}) == 0
        assert value(it, "kubetune_job_first_step_seconds_count", kind=kind) == 0
        assert value(it, "kubetune_reconcile_seconds_count", kind=kind, result="error") == 0


def test_several_steps_between_two_sights_are_all_counted():
    it = metrics()
    it.changed(None, sight(attempts=[ended(1, "NodeLost"), ended(2, "Hang"), {"number": 3}], restarts=2))
    assert value(it, "kubetune_job_attempts_total", kind="SFTJob") == 3
    assert value(it, "kubetune_job_attempt_ends_total", kind="SFTJob", **{"class": "NodeLost"}) == 1
    assert value(it, "kubetune_job_attempt_ends_total", kind="SFTJob", **{"class": "Hang"}) == 1


def test_waiting_is_timed_from_creation_and_once():
    it = metrics()
    admitted = [{"type": "Admitted", "status": "True", "lastTransitionTime": "2026-01-01T00:00:40Z"}]
    waiting = sight(attempts=[{"number": 1}])
    started = sight(attempts=[{"number": 1}], conditions=admitted)
    stepped = sight(attempts=[{"number": 1}], conditions=admitted, progress={"step": 1, "updatedTime": "2026-01-01T00:02:00Z"})
    later = sight(attempts=[{"number": 1}], conditions=admitted, progress={"step": 9, "updatedTime": "2026-01-01T00:09:00Z"})
    for before, after in [(waiting, started), (started, stepped), (stepped, later)]:
        it.changed(before, after)
    assert value(it, "kubetune_job_admission_seconds_count", kind="SFTJob") == 1
    assert value(it, "kubetune_job_admission_seconds_sum", kind="SFTJob") == 40
    assert value(it, "kubetune_job_first_step_seconds_count", kind="SFTJob") == 1
    assert value(it, "kubetune_job_first_step_seconds_sum", kind="SFTJob") == 120


def test_a_running_job_has_series_of_its_own_and_a_finished_one_has_none():
    progress = {"step": 3, "totalSteps": 12, "updatedTime": (NOW - timedelta(seconds=42)).isoformat()}
    it = metrics(sight(phase="Running", progress=progress), sight("done", phase="Succeeded", progress=progress))
    names = {"kind": "SFTJob", "namespace": "default", "name": "a"}
    assert value(it, "kubetune_job_progress_ratio", **names) == 0.25
    assert value(it, "kubetune_job_report_age_seconds", **names) == 42
    assert b'name="done"' not in generate_latest(it.registry)


def oldest(it: Metrics, phase: str) -> float | None:
    return value(it, "kubetune_oldest_job_seconds", kind="SFTJob", phase=phase)


def test_the_job_that_has_been_in_its_phase_longest_says_for_how_long():
    running = [{"type": "Running", "status": "True", "lastTransitionTime": "2026-01-01T00:04:00Z"}]
    it = metrics(
        sight("new"),
        sight("starting", phase="Starting", attempts=[ended(1, "CudaOOM"), {"number": 2, "started": "2026-01-01T00:07:00Z"}]),
        sight("later", phase="Starting", attempts=[{"number": 1, "started": "2026-01-01T00:08:00Z"}]),
        sight("queued", phase="Queued", attempts=[{"number": 1, "started": "2026-01-01T00:01:00Z"}]),
        sight("again", phase="Restarting", attempts=[{"number": 1, "started": CREATED, "ended": "2026-01-01T00:09:00Z"}]),
        sight("running", phase="Running", conditions=running),
        sight("over", phase="Succeeded"),
    )
    assert [oldest(it, phase) for phase in ("Pending", "Starting", "Queued", "Restarting", "Running", "Succeeded")] == [
        600, 180, 540, 60, 360, None,
    ]  # fmt: skip


def test_a_phase_whose_beginning_cannot_be_read_counts_from_the_creation():
    it = metrics(sight(phase="Starting", attempts=[{"number": 1, "started": "soon"}]))
    assert oldest(it, "Starting") == 600


def test_the_number_of_series_is_bounded():
    progress = {"step": 3, "totalSteps": 12, "updatedTime": CREATED}
    it = metrics(*(sight(f"job-{n}", phase="Running", progress=progress) for n in range(MAX_JOBS + 5)))
    text = generate_latest(it.registry).decode()
    assert text.count("\nkubetune_job_progress_ratio{") == MAX_JOBS
    assert value(it, "kubetune_job_series_left_out") == 5


@pytest.mark.parametrize(
    ("path", "resource"),
    [
        ("/apis/kubeflow.org/v1/namespaces/ns/pytorchjobs/name", "pytorchjobs"),
        ("/apis/kubetune.dev/v1alpha1/namespaces/ns/osftjobs/name/status", "osftjobs/status"),
        ("/apis/events.k8s.io/v1/namespaces/ns/events", "events"),
        ("/apis/coordination.k8s.io/v1/namespaces/ns/leases/status", "leases"),
        ("/api/v1/namespaces/pods/pods/status", "pods"),
        ("/apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings/x", "rolebindings"),
        ("/api/v1/nodes/x", "other"),
    ],
)
def test_a_path_is_reduced_to_its_resource(path, resource):
    assert resource_of(path) == resource


def test_writes_are_counted_and_reads_are_not():
    it = metrics()
    it.answered(Request("PATCH", "/apis/kubeflow.org/v1/namespaces/ns/pytorchjobs/name"), 201)
    it.answered(Request("DELETE", "/api/v1/namespaces/ns/pods/x"), None)
    it.answered(Request("GET", "/api/v1/namespaces/ns/pods/x"), 200)
    assert value(it, "kubetune_api_writes_total", resource="pytorchjobs", verb="patch", code="201") == 1
    assert value(it, "kubetune_api_writes_total", resource="pods", verb="delete", code="0") == 1
    assert generate_latest(it.registry).decode().count("\nkubetune_api_writes_total{") == 2


def test_the_document_is_the_table():
    document = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text()
    assert document.endswith(table())
    assert table().count("\n| `kubetune_") >= 15
