"""PyTorchJobs of jobs that are gone, while another job has the name: the garbage collector may take the one for the other."""

import asyncio
import logging

import pytest
from fake_cluster import NOW, UID, FakeCluster, at, job, stamp

from kubetune.cluster import ATTEMPT, JOB_KIND, JOB_NAME, JOB_UID, MANAGED_BY, ClusterError
from kubetune.controller.known_jobs import KnownJobs, seen
from kubetune.controller.strays import Strays
from kubetune.controller.workqueue import Key

TEACH = Key("SFTJob", "default", "teach")
OLD = "11111111-0000-4000-8000-000000000000"
SECONDS = 60.0


def child(uid: str = OLD, *, attempt: int = 2, made: float = -50, **metadata) -> dict:
    """A PyTorchJob of the job with that UID, made so many seconds after the job that has the name now."""
    labels = {MANAGED_BY: "kubetune", JOB_KIND: "SFTJob", JOB_NAME: "teach", JOB_UID: uid, ATTEMPT: str(attempt)}
    owner = {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "name": "teach", "uid": uid, "controller": True}
    own = {"name": f"teach-sft-{attempt}", "namespace": "default", "uid": f"child-of-{uid[:4]}", "labels": labels}
    return {"metadata": {**own, "ownerReferences": [owner], "creationTimestamp": stamp(at(made)), **metadata}, "spec": {}}


def with_child(manifest: dict | None) -> FakeCluster:
    cluster = FakeCluster(job())
    if manifest:
        cluster.children[manifest["metadata"]["name"]] = manifest
    return cluster


def knowing(*bodies: dict) -> KnownJobs:
    jobs = KnownJobs()
    for body in bodies:
        jobs.update(body["metadata"]["uid"], seen("SFTJob", body))
    return jobs


def heard_of(manifest: dict, jobs: KnownJobs, change: str | None = None) -> Strays:
    strays = Strays()
    strays.child_told(TEACH, manifest, change, jobs.uid(TEACH))
    return strays


def left(cluster: FakeCluster, strays: Strays, jobs: KnownJobs, seconds: float = SECONDS) -> list[str]:
    """What is there after a look, so many seconds after the job that has the name now was made."""
    asyncio.run(strays.remove(cluster, jobs, at(seconds), SECONDS))
    return list(cluster.children)


def test_an_attempt_of_an_earlier_job_is_removed_a_minute_after_its_successor_was_made(caplog):
    jobs, cluster = knowing(job()), with_child(child())
    strays = heard_of(child(), jobs)
    assert left(cluster, strays, jobs, 59) == ["teach-sft-2"]
    with caplog.at_level(logging.WARNING):
        assert left(cluster, strays, jobs, 60) == []
    assert "default/teach-sft-2" in caplog.text


def test_the_watch_of_the_job_tells_of_it_even_if_the_childs_is_silent():
    """Its pods may run for hours before there is anything to tell."""
    before = job(uid=OLD) | {"status": {"phase": "Running", "attempts": [{"number": 1, "ended": stamp(NOW)}, {"number": 2}]}}
    strays, jobs, cluster = Strays(), knowing(), with_child(child())
    strays.job_gone(seen("SFTJob", before))
    assert left(cluster, strays, jobs) == ["teach-sft-2"], "no job has the name: the garbage collector comes"
    jobs.update(UID, seen("SFTJob", job()))
    assert left(cluster, strays, jobs) == []


def test_a_job_without_an_attempt_leaves_nothing_to_look_for():
    strays, cluster = Strays(), FakeCluster()
    strays.job_gone(seen("SFTJob", job(uid=OLD)))
    cluster.faults["pytorchjob"] = [ClusterError("this was not to be read")]
    assert left(cluster, strays, knowing()) == []


@pytest.mark.parametrize(
    "manifest",
    [
        child(UID),  # its own
        child(made=1),  # the job that is known is the older one: the watch is behind
        child(made=0),  # the same second: it cannot be told
        child(deletionTimestamp=stamp(NOW)),
        child(ownerReferences=[]),  # kubectl delete --cascade=orphan
        child(labels={MANAGED_BY: "kubetune", JOB_KIND: "SFTJob", JOB_NAME: "teach", JOB_UID: OLD, ATTEMPT: "2"})
        | {"metadata": {**child()["metadata"], "ownerReferences": [{"kind": "Team", "name": "teach", "uid": OLD}]}},
    ],
)
def test_what_may_be_somebodys_is_left(manifest):
    jobs, cluster = knowing(job()), with_child(manifest)
    assert left(cluster, heard_of(child(), jobs), jobs, 1000) == ["teach-sft-2"]
    assert cluster.calls == []


def reads(cluster: FakeCluster, strays: Strays, jobs: KnownJobs) -> bool:
    """Whether another look asks the cluster for anything."""
    cluster.faults["pytorchjob"] = [ClusterError("it was read")]
    try:
        left(cluster, strays, jobs)
    except ClusterError:
        return True
    return False


@pytest.mark.parametrize("change", ["ADDED", "MODIFIED", None])
def test_one_that_is_its_jobs_is_never_looked_at(change):
    jobs = knowing(job())
    assert not reads(with_child(child(UID)), heard_of(child(UID), jobs, change), jobs)


def test_nothing_follows_from_a_child_of_a_job_that_is_not_known_yet():
    assert not reads(with_child(child()), heard_of(child(), knowing()), knowing())


def test_the_watch_that_tells_of_its_end_ends_the_suspicion():
    jobs = knowing(job())
    strays = heard_of(child(), jobs)
    strays.child_told(TEACH, child(), "DELETED", UID)
    assert not reads(with_child(child()), strays, jobs)


def test_one_that_is_gone_is_looked_for_once():
    jobs, cluster = knowing(job()), with_child(None)
    strays = heard_of(child(), jobs)
    assert left(cluster, strays, jobs) == []
    assert not reads(cluster, strays, jobs)


def test_a_cluster_that_does_not_answer_is_asked_again():
    jobs, cluster = knowing(job()), with_child(child())
    strays = heard_of(child(), jobs)
    assert reads(cluster, strays, jobs)
    assert left(cluster, strays, jobs) == []
