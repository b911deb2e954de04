"""The controller's own reconcile over real processes; a short script stands where the trainer would be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from manifests import until

from kubetune.cluster import ClusterError
from kubetune.controller.settings import ControllerSettings
from kubetune.local.cluster import LocalCluster, utc_now
from kubetune.local.loop import JobKey, JobLoop
from kubetune.local.state import StateDir
from kubetune.local.takeup import new_job
from kubetune.render import RenderSettings

KEY = JobKey("SFTJob", "default", "a")

TRAINER = """
import json, os, sys, time
contract = json.loads(os.environ["KUBETUNE_CONTRACT"])
attempt = contract["attempt"]

def checkpoint(kind, step):
    uri = f"{contract['outputUri']}/attempt-{attempt}/{kind}/step_{step}"
    return {"uri": uri, "step": step, "bytes": 1, "kind": kind, "verified": True}

def report(step, *checkpoints):
    name = os.environ["KUBETUNE_REPORT_FILE"]
    open(name + ".new", "w").write(json.dumps({"attempt": attempt, "progress": {"step": step, "totalSteps": 9}, "checkpoints": checkpoints}))
    os.replace(name + ".new", name)

def end(code, **outcome):
    open(os.environ["KUBETUNE_TERMINATION_LOG"], "w").write(json.dumps({"attempt": attempt, "exitCode": code, **outcome}))
    sys.exit(code)

def succeed():
    report(9, checkpoint("hf", 9))
    end(0, reachedEnd=True, step=9, totalSteps=9, checkpoint=checkpoint("hf", 9), resumedFrom=(contract["resumeFrom"] or [None])[0])
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stores a job whose trainer is this script; gives its cluster and loop."""
    clusters: list[LocalCluster] = []

    def start(
        script: str, seen: Callable[[dict[str, Any]], None] = lambda _: None, *, nodes: int = 1, **run_policy: Any
    ) -> tuple[LocalCluster, JobLoop]:
        file = tmp_path / "trainer.py"
        file.write_text(TRAINER + script)
        monkeypatch.setattr("kubetune.render.pod.COMMAND", ["python", str(file)])
        state = StateDir.create(tmp_path / "state")
        cluster = LocalCluster(state)
        clusters.append(cluster)
        spec = {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "pvc://runs"}, "device": "cpu"}
        document = {
            "apiVersion": "kubetune.dev/v1alpha1",
            "kind": "SFTJob",
            "metadata": {"name": "a"},
            "spec": spec | {"runPolicy": run_policy, "nodes": nodes},
        }
        cluster.store.put(new_job(document, utc_now()))
        return cluster, loop_of(cluster, seen)

    yield start
    for cluster in clusters:
        asyncio.run(cluster.close(kill=True))


def loop_of(cluster: LocalCluster, seen: Callable[[dict[str, Any]], None] = lambda _: None) -> JobLoop:
    render = RenderSettings(image="local", volume_root=str(cluster.state.volumes), configmap_root=str(cluster.state.configmaps))
    settings = ControllerSettings(render=render, backoff_base_seconds=0.1, settle_seconds=0.2, poll_seconds=1.0, quiet_seconds=0.0)
    return JobLoop(cluster, KEY, settings, seen)


def run(loop: JobLoop) -> dict[str, Any]:
    """The status at the end."""

    async def bounded() -> dict[str, Any]:
        return await asyncio.wait_for(loop.run(asyncio.Event()), 60)

    return asyncio.run(bounded())["status"]


def test_a_job_runs_to_success_and_every_change_is_told(start) -> None:
    told: list[dict[str, Any]] = []
    _, loop = start("succeed()", told.append)
    status = run(loop)
    assert status["phase"] == "Succeeded"
    assert status["finalCheckpoint"]["step"] == 9
    assert status["progress"] == {"step": 9, "totalSteps": 9}
    versions = [int(job["metadata"]["resourceVersion"]) for job in told]
    assert versions == sorted(set(versions))
    assert told[-1]["status"]["phase"] == "Succeeded"


def test_a_worker_that_ends_after_the_master_is_not_killed_for_it(start, tmp_path: Path) -> None:
    cluster, loop = start(
        f"""
if os.environ["PET_NODE_RANK"] == "0":
    succeed()
from pathlib import Path
(stored,) = Path({str(tmp_path)!r}).glob("state/resources/sftjob/*/a*")
deadline = time.monotonic() + 30
while '"phase": "Succeeded"' not in stored.read_text() and time.monotonic() < deadline:
    time.sleep(0.05)
time.sleep(0.5)
""",
        nodes=2,
    )
    assert run(loop)["phase"] == "Succeeded"
    pods = asyncio.run(cluster.pods("default", cluster.store.get("SFTJob", "default", "a")["metadata"]["uid"]))
    assert [pod["status"]["phase"] for pod in pods] == ["Succeeded", "Succeeded"]


def test_a_failure_is_retried_from_the_last_verified_state(start) -> None:
    _, loop = start("""
if attempt == 1:
    report(4, checkpoint("full-state", 3))
    end(1, reachedEnd=False, step=4, **{"class": "BackendError"}, message="rank 0 broke")
succeed()
""")
    status = run(loop)
    assert (status["phase"], status["restarts"]) == ("Succeeded", 1)
    one, two = status["attempts"]
    assert (one["reason"], one["exitCode"], one["lastStep"]) == ("BackendError", 1, 4)
    assert two["resumedFrom"].endswith("/attempt-1/full-state/step_3")


def test_a_user_error_is_final(start) -> None:
    _, loop = start("""end(2, reachedEnd=False, **{"class": "DataError"}, message="line 3 is no JSON")""")
    status = run(loop)
    assert (status["phase"], len(status["attempts"]), status["failure"]["class"]) == ("Failed", 1, "DataError")
    assert "line 3 is no JSON" in status["failure"]["message"]


def test_exit_0_without_an_outcome_is_no_success(start) -> None:
    _, loop = start("pass", backoffLimit=0)
    assert run(loop)["phase"] == "Failed"


WAITS_FOR_EVER = """
report(4, checkpoint("full-state", 3))
if attempt == 1:
    time.sleep(600)
succeed()
"""


async def stopped(cluster: LocalCluster, loop: JobLoop) -> dict[str, Any]:
    """Stops the loop when the first report has reached the status."""
    stop = asyncio.Event()
    running = asyncio.create_task(loop.run(stop))
    await until(lambda: cluster.get_job("SFTJob", "default", "a"), lambda job: "progress" in job.get("status", {}))
    stop.set()
    return await running


def test_suspending_ends_the_attempt_without_counting_it_and_it_goes_on_later(start) -> None:
    cluster, loop = start(WAITS_FOR_EVER, terminationGracePeriodSeconds=1)

    async def interrupt() -> dict[str, Any]:
        assert (await stopped(cluster, loop))["status"]["phase"] in ("Starting", "Running")
        return await asyncio.wait_for(loop.suspend(), 60)

    job = asyncio.run(interrupt())
    assert job["status"]["phase"] == "Suspended"
    assert cluster.store.select("Pod") == []
    stored = cluster.store.get("SFTJob", "default", "a")
    assert "suspend" not in stored["spec"]["runPolicy"]  # the file never said so

    status = run(loop_of(LocalCluster(cluster.state)))
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Suspended", "Succeeded"]
    assert (status["phase"], status.get("restarts", 0)) == ("Succeeded", 0)
    assert status["attempts"][1]["resumedFrom"].endswith("/attempt-1/full-state/step_3")


def test_a_run_that_was_killed_is_taken_over_without_counting_it(start) -> None:
    cluster, loop = start(WAITS_FOR_EVER, backoffLimit=0)

    async def killed() -> None:
        await stopped(cluster, loop)
        await cluster.close(kill=True)  # what the supervisors do when kubetune dies; nobody writes the status

    asyncio.run(killed())
    later = LocalCluster(cluster.state)

    async def go_on() -> dict[str, Any]:
        again = loop_of(later)
        await asyncio.wait_for(again.take_over(), 60)
        return await asyncio.wait_for(again.run(asyncio.Event()), 60)

    status = asyncio.run(go_on())["status"]
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Suspended", "Succeeded"]
    assert status.get("restarts", 0) == 0


def test_what_cannot_be_started_here_is_raised_not_retried_for_ever(start) -> None:
    cluster, loop = start("succeed()")
    job = cluster.store.get("SFTJob", "default", "a")
    job["spec"]["template"] = {"envFrom": [{"configMapRef": {"name": "missing"}}]}
    cluster.store.put(job)
    with pytest.raises(ClusterError, match="there is no ConfigMap 'missing'"):
        run(loop)
    assert cluster.store.select("Pod") == []
