"""Pods that the cluster does not let be created: the PyTorchJob says nothing of it, the status does."""

from __future__ import annotations

from fake_cluster import FakeCluster, at, job
from loop import once
from observations import SETTINGS

from kubetune.cluster import ClusterError

WORDS = 'Error creating: pods "teach-sft-1-worker-0" is forbidden: exceeded quota: team, requested: requests.cpu=2'
LATER = SETTINGS.missing_seconds


def refusing(**spec: object) -> FakeCluster:
    """A job whose attempt was created at second 0."""
    cluster = FakeCluster(job(**spec))
    once(cluster, at(0))
    (child,) = cluster.children.values()
    cluster.refusals[child["metadata"]["uid"]] = WORDS
    return cluster


def running(cluster: FakeCluster) -> tuple[str, str, str]:
    condition = cluster.condition("Running")
    return cluster.status["phase"], condition["reason"], condition["message"]


def test_a_refusal_is_said_in_the_clusters_words_and_once_as_an_event():
    cluster = refusing()
    for seconds in (LATER, LATER + 30):
        once(cluster, at(seconds))
        assert running(cluster) == ("Starting", "PodsRefused", WORDS)
    assert cluster.events == [("Warning", "PodsRefused", WORDS)]


def test_pods_that_are_only_late_cost_no_search():
    cluster = refusing()
    once(cluster, at(LATER - 1))
    assert cluster.asked == []
    assert running(cluster)[1] == "Starting"


def test_a_gang_that_is_there_is_not_asked_about():
    cluster = refusing(nodes=2)
    cluster.run_pods(1, nodes=2)
    once(cluster, at(LATER))
    assert cluster.asked == []
    assert running(cluster) == ("Running", "Running", "")


def test_a_master_that_waits_for_a_refused_worker_runs_and_says_so():
    cluster = refusing(nodes=2)
    cluster.run_pods(1)
    once(cluster, at(LATER))
    assert running(cluster) == ("Running", "PodsRefused", WORDS)

    cluster.run_pods(1, nodes=2)
    once(cluster, at(LATER + 30))
    assert running(cluster) == ("Running", "Running", "")


def test_who_may_not_read_events_goes_on():
    cluster = refusing()
    cluster.faults["pods_refused"] = [ClusterError("events is forbidden", status=403, retryable=False)]
    once(cluster, at(LATER))
    assert running(cluster)[1] == "Starting"
