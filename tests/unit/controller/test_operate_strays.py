"""The operator removes what the garbage collector forgot, while it leads."""

import asyncio

from fake_cluster import at, job
from operating import Listing, leading, run_until

from kubetune.cluster import JOB_KIND, JOB_NAME, JOB_UID, ClusterError
from kubetune.controller import operate
from kubetune.controller.operate import Operator
from kubetune.controller.workqueue import Key

OTHER_UID = "22222222-0000-4000-8000-000000000000"


def replaced(cluster: Listing) -> Operator:
    """A job trained, was deleted and made again, and its PyTorchJob is still there."""
    operator = leading(cluster)
    first, second = job(name="a", uid=OTHER_UID), job(name="a")
    child = {"name": "a-sft-2", "namespace": "default", "uid": "c", "creationTimestamp": at(-60).isoformat()}
    labels = {JOB_KIND: "SFTJob", JOB_NAME: "a", JOB_UID: OTHER_UID}
    owner = {"kind": "SFTJob", "name": "a", "uid": OTHER_UID}
    cluster.children["a-sft-2"] = {"metadata": {**child, "labels": labels, "ownerReferences": [owner]}, "spec": {}}
    for body, change in ((first, "ADDED"), (first, "DELETED"), (second, "ADDED")):
        operator.told("SFTJob", body, change)
    operator.child_told(Key("SFTJob", "default", "a"), cluster.children["a-sft-2"], None)
    return operator


def test_what_an_earlier_job_of_the_name_left_is_removed():
    cluster = Listing(job(name="a"))
    asyncio.run(replaced(cluster).remove_strays())
    assert cluster.children == {}


def test_a_standby_removes_nothing():
    cluster = Listing(job(name="a"))
    operator = replaced(cluster)
    operator.leading = False
    asyncio.run(operator.remove_strays())
    assert list(cluster.children) == ["a-sft-2"]


def test_a_cluster_that_does_not_answer_does_not_end_the_operator(caplog):
    cluster = Listing(job(name="a"))
    operator = replaced(cluster)
    cluster.faults["pytorchjob"] = [ClusterError("connection refused")]
    asyncio.run(operator.remove_strays())
    assert "connection refused" in caplog.text
    asyncio.run(operator.remove_strays())
    assert cluster.children == {}


def test_a_running_operator_looks_for_them_by_itself(monkeypatch):
    monkeypatch.setattr(operate, "STRAYS_SECONDS", 0.01)
    cluster = Listing(job(name="a", suspend=True))
    operator = replaced(cluster)
    operator.leading = False
    run_until(operator, lambda: not cluster.children)
