"""What is read of Kueue, over a real connection to a server that answers as scripted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from kubernetes import client
from scripted_api import Answer, ScriptedApi, serve, status

from kubetune.cluster import ClusterError, Queueing
from kubetune.controller.kubernetes_api import KubernetesApi
from kubetune.controller.kueue import Kueue

GROUP = Answer(body={"preferredVersion": {"version": "v1beta2"}})
OLD_GROUP = Answer(body={"preferredVersion": {"version": "v1beta1"}})
MISSING = status(404, "the server could not find the requested resource")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def workload(name: str = "w", *, reserved: bool = False, created: str = "2026-01-01T00:00:00Z") -> dict[str, object]:
    condition = {"type": "QuotaReserved", "status": str(reserved)}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": {}, "status": {"conditions": [condition]}}


def listed(*items: object) -> Answer:
    return Answer(body={"items": list(items)})


def entry(name: str, position: int) -> dict[str, object]:
    return {"metadata": {"name": name}, "positionInLocalQueue": position, "positionInClusterQueue": position}


@contextmanager
def kueue(*answers: Answer) -> Iterator[tuple[Kueue, ScriptedApi, Clock]]:
    with serve(*answers) as server:
        configuration = client.Configuration(host=server.url)
        configuration.retries = False
        clock = Clock()
        yield Kueue(KubernetesApi(client.ApiClient(configuration), sleep=lambda _: None), clock=clock), server, clock


def test_the_workload_of_that_pytorchjob_and_its_place():
    with kueue(GROUP, listed(workload()), GROUP, listed(entry("other", 0), entry("w", 1))) as (subject, server, _):
        seen = subject.of("team", "uid-1", "gpus")
    assert seen == Queueing(workload=workload(), pending=entry("w", 1))
    assert server.asked[1].path == "/apis/kueue.x-k8s.io/v1beta2/namespaces/team/workloads"
    assert server.asked[1].query["labelSelector"] == "kueue.x-k8s.io/job-uid=uid-1"
    assert server.asked[3].path == "/apis/visibility.kueue.x-k8s.io/v1beta2/namespaces/team/localqueues/gpus/pendingworkloads"


def test_an_admitted_one_has_no_place():
    with kueue(GROUP, listed(workload(reserved=True))) as (subject, _, _):
        assert subject.of("team", "uid-1", "gpus").pending is None


def test_a_queues_places_are_read_once_for_all_its_jobs():
    with kueue(GROUP, listed(workload("a")), GROUP, listed(entry("a", 0), entry("b", 1)), listed(workload("b")),
               listed(workload("b")), listed(entry("b", 0))) as (subject, _, clock):  # fmt: skip
        subject.of("team", "uid-a", "gpus")
        assert subject.of("team", "uid-b", "gpus").pending == entry("b", 1)
        clock.now = 5
        assert subject.of("team", "uid-b", "gpus").pending == entry("b", 0)


def test_an_older_kueue_is_spoken_to_in_its_version():
    with kueue(OLD_GROUP, listed(workload(reserved=True))) as (subject, server, _):
        subject.of("team", "uid-1", "gpus")
    assert server.asked[1].path == "/apis/kueue.x-k8s.io/v1beta1/namespaces/team/workloads"


def test_a_cluster_without_kueue_is_asked_once_a_minute():
    with kueue(MISSING, GROUP, listed()) as (subject, _, clock):
        assert subject.of("team", "uid-1", "gpus") == subject.of("team", "uid-1", "gpus") == Queueing(installed=False)
        clock.now = 60
        assert subject.of("team", "uid-1", "gpus") == Queueing()


@pytest.mark.parametrize("refusal", [status(403, "forbidden"), MISSING, status(503, "Kueue is starting")])
def test_without_places_the_workload_is_enough(refusal):
    with kueue(GROUP, listed(workload()), GROUP, refusal) as (subject, _, _):
        assert subject.of("team", "uid-1", "gpus") == Queueing(workload=workload())


def test_where_kueue_shows_no_places():
    with kueue(GROUP, listed(workload()), MISSING) as (subject, _, _):
        assert subject.of("team", "uid-1", "gpus").pending is None


def test_a_workload_that_cannot_be_read_is_an_error():
    with kueue(GROUP, status(403, "workloads is forbidden")) as (subject, _, _), pytest.raises(ClusterError, match="forbidden"):
        subject.of("team", "uid-1", "gpus")


def test_the_newest_of_two():
    newer = workload("new", reserved=True, created="2026-01-01T00:00:01Z")
    with kueue(GROUP, listed(newer, workload("old"))) as (subject, _, _):
        assert subject.of("team", "uid-1", "gpus").workload == newer
