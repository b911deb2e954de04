"""Workers that die, and a job that has Succeeded: the training goes on, or not, and the status says so."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from disturbed import EPOCHS, STEPS, long_job, newest_state, reach_second_epoch
from runs import Workspace, finish, training_worker, wait_for

pytestmark = pytest.mark.train


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_kill_9_of_the_second_nodes_worker_restarts_the_gang_from_the_first_epoch(
    workspace: Workspace, long_data: Path, kind: str
) -> None:
    process = workspace.start_run(long_job(workspace, long_data, kind, nodes=2), "-o", "json")
    stored = reach_second_epoch(workspace, process, kind)
    first = stored["status"]["attempts"][0]["pyTorchJob"]
    training_worker(workspace.pod(f"{first}-worker-0")["metadata"]["uid"]).kill()
    ended = finish(process)

    assert ended.code == 0, ended.stderr[-4000:]
    status = ended.resource["status"]
    assert status["phase"] == "Succeeded"
    assert status["restarts"] == 1
    assert status["progress"]["step"] == status["progress"]["totalSteps"] == EPOCHS * STEPS
    one, two = status["attempts"]
    assert (one["number"], two["number"], two["reason"]) == (1, 2, "Succeeded")
    assert one["reason"] not in ("Succeeded", "Suspended")
    assert one["exitCode"] != 0
    assert STEPS < one["lastStep"] < EPOCHS * STEPS
    assert "/attempt-1/" in two["resumedFrom"]
    assert two["resumedFrom"].endswith(f"step_{STEPS}")
    assert "/attempt-2/" in status["finalCheckpoint"]["uri"]
    assert status["goodput"]["training"] > 0
    saved, end = (datetime.fromisoformat(each) for each in (newest_state(stored)["time"], one["ended"]))
    assert status["goodput"]["lost"] == (end - saved.replace(microsecond=0)).total_seconds(), "since the state that it goes on from"
    assert "attempt 2 goes on from" in ended.stderr


def test_a_second_kubetune_on_the_same_job_is_refused(workspace: Workspace, long_data: Path) -> None:
    job = long_job(workspace, long_data, "SFTJob")
    process = workspace.start_run(job)
    wait_for(lambda: workspace.stored().get("status", {}).get("phase"), process)
    second = workspace.run(job)
    assert second.code == 2
    assert f"is being run by process {process.pid}" in second.stderr
    assert process.poll() is None


def test_a_job_that_succeeded_is_shown_and_trained_anew_only_when_told(workspace: Workspace) -> None:
    job = workspace.job("SFTJob")
    first = workspace.run(job, "-o", "json")
    assert first.code == 0, first.stderr[-4000:]

    second = workspace.run(job, "-o", "json")
    assert second.code == 0
    assert "--again" in second.stderr
    assert second.resource == first.resource

    changed = workspace.run(workspace.job("SFTJob", training={"learningRate": 2e-3}))
    assert changed.code == 2
    assert "spec.training.learningRate" in changed.stderr
    assert "--again" in changed.stderr

    third = workspace.run(workspace.job("SFTJob", training={"learningRate": 2e-3}), "--again", "-o", "json")
    assert third.code == 0, third.stderr[-4000:]
    assert third.resource["metadata"]["uid"] != first.resource["metadata"]["uid"]
    assert len(third.resource["status"]["attempts"]) == 1
    assert workspace.checkpoint(first.resource).is_dir()  # what was trained before stays
