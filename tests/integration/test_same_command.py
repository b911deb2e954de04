"""The same command once more: refused while the job is run, and a job that has Succeeded is trained anew only when told."""

from __future__ import annotations

from pathlib import Path

import pytest
from disturbed import long_job
from runs import Workspace, wait_for

pytestmark = pytest.mark.train


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
