from __future__ import annotations

import pytest
from operator_process import OperatorProcess
from real_cluster import Job, Namespace, reached_end
from waiting import until

pytestmark = pytest.mark.cluster

MASTER, WORKER = "teach-sft-1-master-0", "teach-sft-1-worker-0"


def finished(namespace: Namespace, kind: str = "SFTJob", **policy: object) -> Job:
    """Its master reached the end; its worker still runs."""
    job = namespace.create(kind=kind, edit={"spec.nodes": 2, "spec.runPolicy": policy})
    job.wait_attempt(1)
    until(lambda: len(job.pods(1)) == 2, "both pods", evidence=job.evidence)
    job.end(1, reached_end())
    assert job.wait("Succeeded")["finalCheckpoint"]["step"] == 10
    return job


def left(namespace: Namespace) -> set[str]:
    return {pod["metadata"]["name"] for pod in namespace.all_pods() if "deletionTimestamp" not in pod["metadata"]}


@pytest.mark.parametrize(
    ("policy", "stay", "children"), [("None", {MASTER, WORKER}, 1), ("Running", {MASTER}, 1), ("All", set(), 0)]
)
def test_pods_go_once_the_outcome_was_read(
    namespace: Namespace, operator: OperatorProcess, policy: str, stay: set[str], children: int
):
    job = finished(namespace, cleanPodPolicy=policy)
    until(
        lambda: left(namespace) == stay and len(namespace.children()) == children, f"{policy} leaves {stay}", evidence=job.evidence
    )
    other = namespace.create("other")
    other.wait_attempt(1)  # whatever else were to go would have gone by now
    assert {pod for pod in left(namespace) if pod.startswith("teach")} == stay
    assert job.phase == "Succeeded"


def test_ttl_removes_the_child_and_keeps_the_job(namespace: Namespace, operator: OperatorProcess):
    job = finished(namespace, ttlSecondsAfterFinished=2)
    until(lambda: not namespace.children() and not namespace.all_pods(), "child and pods are gone", evidence=job.evidence)
    operator.kill()
    operator.start()
    other = namespace.create("other")
    other.wait_attempt(1)
    assert job.phase == "Succeeded"
    assert [child["metadata"]["name"] for child in namespace.children()] == ["other-sft-1"], "it is not made again"


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_ttl_removes_the_job_where_asked(namespace: Namespace, operator: OperatorProcess, kind: str):
    job = finished(namespace, kind, ttlSecondsAfterFinished=2, deleteJob=True)
    until(lambda: not job.exists and not namespace.children() and not namespace.all_pods(), "all is gone", evidence=job.evidence)


def test_deleted_while_the_operator_is_down(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.nodes": 2})
    job.wait_attempt(1)
    operator.kill()
    job.delete()
    until(lambda: not job.exists and not namespace.children() and not namespace.all_pods(), "all is gone", evidence=job.evidence)


def test_the_same_name_again_waits_for_what_an_earlier_job_left(namespace: Namespace, operator: OperatorProcess):
    first = namespace.create()
    first.wait_attempt(1)
    before = namespace.children()[0]["metadata"]["uid"]
    first.delete()
    until(lambda: not first.exists, "the job is gone")
    again = namespace.create()
    again.wait_attempt(1)
    (child,) = namespace.children()
    assert child["metadata"]["uid"] != before
    again.end(1, reached_end())
    again.wait("Succeeded")
