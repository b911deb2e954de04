"""Jobs that train in pods of the real trainer image, on real nodes, under the operator's real image."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from real_cluster import Job, Manifest, Namespace
from real_nodes import PATIENCE, local_path, submit
from waiting import until

from kubetune_trainer.checkpoints.verify import verify_hf

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2 * PATIENCE)]


def test_a_job_on_one_node(namespace: Namespace, volumes: Path):
    job = submit(namespace)
    status = job.wait("Succeeded", "Failed", seconds=PATIENCE)
    assert status["phase"] == "Succeeded", job.evidence()
    assert_whole(status, volumes, attempts=1)


def test_a_job_on_two_nodes(namespace: Namespace, volumes: Path):
    job = submit(namespace, nodes=2)
    status = job.wait("Succeeded", "Failed", seconds=PATIENCE)
    assert status["phase"] == "Succeeded", job.evidence()
    assert_whole(status, volumes, attempts=1)
    assert len({pod["spec"]["nodeName"] for pod in job.pods(1)}) == 2, "each on a node of its own"


def test_a_worker_that_is_deleted_costs_at_most_the_steps_since_the_last_state(namespace: Namespace, volumes: Path):
    job = submit(namespace, nodes=2, epochs=60)
    until(partial(has_state, job), "a verified state", seconds=PATIENCE, evidence=job.evidence)
    worker = job.pods(1)[1]["metadata"]["name"]
    namespace.kubectl("delete", "pod", worker, "--wait=false")

    status = job.wait("Succeeded", "Failed", seconds=PATIENCE)
    assert status["phase"] == "Succeeded", job.evidence()
    assert_whole(status, volumes, attempts=2)
    first, second = status["attempts"]
    resumed = next(each for each in status["checkpoints"] if each["uri"] == second["resumedFrom"])
    assert "/attempt-1/" in resumed["uri"]
    assert resumed["step"] >= first["lastStep"] - 6, (
        "an epoch has six steps; a state saved on SIGTERM may be newer than the last report"
    )
    assert worker in first["message"], first


def has_state(job: Job) -> bool:
    return any(each["kind"] == "full-state" and each["verified"] for each in job.status.get("checkpoints") or [])


def assert_whole(status: Manifest, volumes: Path, attempts: int) -> None:
    """The status tells of a final checkpoint, and it is there, whole."""
    assert len(status["attempts"]) == attempts
    assert status["progress"]["step"] == status["progress"]["totalSteps"] == status["finalCheckpoint"]["step"]
    assert verify_hf(local_path(volumes, status["finalCheckpoint"]["uri"]), volumes / "data/tiny-llama") == []
