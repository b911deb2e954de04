"""Workers that die, nodes that are told to end, users that interrupt, a kubetune that is killed: the training goes on from what was saved."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime
from pathlib import Path

import pytest
from disturbed import EPOCHS, STEPS, long_job, newest_state, reach_second_epoch
from runs import Workspace, entrypoint, finish, pod_processes, training_worker, wait_for

pytestmark = pytest.mark.kills


def uids_of(workspace: Workspace) -> list[str]:
    return [json.loads(file.read_text())["metadata"]["uid"] for file in (workspace.state / "resources" / "pod").glob("*/*.json")]


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


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_one_node_told_to_end_saves_the_whole_gang_where_it_is(workspace: Workspace, long_data: Path, kind: str) -> None:
    """As when the second node is drained: the kubelet sends SIGTERM to that pod alone."""
    job = long_job(workspace, long_data, kind, nodes=2)
    job["spec"]["runPolicy"] = {"terminationGracePeriodSeconds": 600}
    process = workspace.start_run(job, "-o", "json")
    stored = reach_second_epoch(workspace, process, kind)
    first = stored["status"]["attempts"][0]["pyTorchJob"]
    entrypoint(workspace.pod(f"{first}-worker-0")["metadata"]["uid"]).send_signal(signal.SIGTERM)
    ended = finish(process)

    assert ended.code == 0, ended.stderr[-4000:]
    status = ended.resource["status"]
    one, two = status["attempts"]
    assert (one["reason"], one["exitCode"], two["reason"]) == ("Preempted", 143, "Succeeded")
    assert status["restarts"] == 0  # nobody's fault
    assert STEPS < one["lastStep"] < EPOCHS * STEPS
    assert two["resumedFrom"].endswith(f"/step_{one['lastStep']}")
    assert status["progress"]["step"] == EPOCHS * STEPS


def test_ctrl_c_ends_every_process_and_the_same_command_goes_on(workspace: Workspace, long_data: Path) -> None:
    job = long_job(workspace, long_data, "SFTJob", nodes=2)
    process = workspace.start_run(job)
    reach_second_epoch(workspace, process, "SFTJob")
    uids = uids_of(workspace)
    assert len(uids) == 2
    process.send_signal(signal.SIGINT)
    ended = finish(process)

    assert ended.code == 130
    saved = newest_state(workspace.stored())
    assert STEPS < saved["step"] < EPOCHS * STEPS  # the pods had the time to save where they were
    assert f"goes on from step {saved['step']}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [pod_processes(uid) for uid in uids] == [[], []]

    again = workspace.run(job, "-o", "json")
    assert again.code == 0, again.stderr[-4000:]
    assert f"Going on from step {saved['step']}" in again.stderr
    status = again.resource["status"]
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Suspended", "Succeeded"]
    assert status["restarts"] == 0
    assert status["attempts"][1]["resumedFrom"] == saved["uri"]
    assert status["progress"]["step"] == EPOCHS * STEPS


def test_kill_9_of_kubetune_leaves_no_process_and_the_same_command_goes_on(workspace: Workspace, long_data: Path) -> None:
    job = long_job(workspace, long_data, "OSFTJob")
    process = workspace.start_run(job)
    reach_second_epoch(workspace, process, "OSFTJob")
    (uid,) = uids_of(workspace)
    assert pod_processes(uid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not pod_processes(uid))

    again = workspace.run(job, "-o", "json")
    assert again.code == 0, again.stderr[-4000:]
    assert f"Going on from step {STEPS}" in again.stderr
    assert again.resource["status"]["attempts"][1]["resumedFrom"].endswith(f"step_{STEPS}")
