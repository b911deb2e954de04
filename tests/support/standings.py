"""Jobs as an API server would return them, in every state that a user can meet; each made by the real loop."""

from __future__ import annotations

from collections.abc import Callable

from fake_cluster import FakeCluster, at, failure, job, success
from loop import once, settle, started

from kubetune.api.crd import UNSEEN
from kubetune.cluster import ClusterError, Manifest
from kubetune_trainer.contract import FailureClass


def unseen() -> FakeCluster:
    """With what the CRD lays over a job that has no status."""
    cluster = FakeCluster(job())
    cluster.job["status"] = dict(UNSEEN)
    return cluster


def queued() -> FakeCluster:
    cluster = starting()
    cluster.children["teach-sft-1"]["spec"]["runPolicy"]["suspend"] = True
    once(cluster, at(1))
    return cluster


def starting() -> FakeCluster:
    cluster = FakeCluster(job())
    once(cluster, at(0))
    return cluster


def running() -> FakeCluster:
    return started()[0]


def restarting() -> FakeCluster:
    """Its first attempt failed; it waits for its back-off."""
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(30))
    return cluster


def suspended() -> FakeCluster:
    cluster, _ = started()
    cluster.change_spec(runPolicy={"suspend": True})
    settle(cluster, at(20))
    settle(cluster, at(25))
    return cluster


def succeeded() -> FakeCluster:
    cluster, (master,) = started()
    cluster.end_pod(master, 0, success())
    settle(cluster, at(100))
    return cluster


def failed() -> FakeCluster:
    cluster, (master,) = started()
    cluster.end_pod(master, 2, failure(FailureClass.DATA_ERROR))
    settle(cluster, at(30))
    return cluster


def invalid() -> FakeCluster:
    cluster = FakeCluster(job(training={"learningRat": 1}))
    settle(cluster, at(0))
    return cluster


def edited() -> FakeCluster:
    """A new generation that the operator has not looked at yet."""
    cluster = succeeded()
    cluster.change_spec(runPolicy={"ttlSecondsAfterFinished": 5})
    return cluster


def changed_while_running() -> FakeCluster:
    cluster, _ = started()
    cluster.change_spec(training={"numEpochs": 5})
    once(cluster, at(20))
    return cluster


def changed_and_stopped() -> FakeCluster:
    """What is trained was changed, and the attempt that ran then has failed."""
    cluster = restarting()
    cluster.change_spec(training={"numEpochs": 5})
    settle(cluster, at(400))
    return cluster


def refused() -> FakeCluster:
    """The cluster takes no PyTorchJob."""
    cluster = FakeCluster(job())
    cluster.faults["apply_pytorchjob"] = [ClusterError("exceeded quota: gpu", status=403, retryable=False)]
    once(cluster, at(0))
    return cluster


STANDINGS: dict[str, Callable[[], FakeCluster]] = {
    made.__name__: made
    for made in (
        unseen, queued, starting, running, restarting, suspended, succeeded, failed, invalid, edited, changed_while_running,
        changed_and_stopped, refused,
    )
}  # fmt: skip


def manifest(name: str) -> Manifest:
    return dict(STANDINGS[name]().job)
