"""Real processes under hand-written PyTorchJobs; nothing here needs torch."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from manifests import UID, pytorchjob, sftjob, until

from kubetune.cluster import ClusterError
from kubetune.local.cluster import LocalCluster
from kubetune.local.processes import POD_UID_ENV
from kubetune.local.state import StateDir

WAIT = "import time; print('ready', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
WITH_WORKER_IN_OWN_SESSION = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], start_new_session=True)
print('ready', child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def cluster(tmp_path: Path):
    cluster = LocalCluster(StateDir.create(tmp_path / "state"))
    yield cluster
    asyncio.run(cluster.close(kill=True))


async def pods(cluster: LocalCluster) -> list[dict[str, Any]]:
    return await cluster.pods("default", UID)


async def job(cluster: LocalCluster, name: str = "demo-sft-1") -> dict[str, Any] | None:
    return await cluster.pytorchjob("default", name)


def conditions(job: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: c["status"] for c in job["status"]["conditions"]}


def all_ended(pods: list[dict[str, Any]]) -> bool:
    return bool(pods) and all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods)


def terminated(pod: dict[str, Any]) -> dict[str, Any]:
    return pod["status"]["containerStatuses"][0]["state"]["terminated"]


def of_pod(uid: str) -> list[int]:
    """Every process that carries the pod's mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(POD_UID_ENV) == uid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


async def ready(cluster: LocalCluster, count: int = 1) -> list[dict[str, Any]]:
    """The pods once all have said so in their logs."""

    async def logs() -> list[str]:
        return [await cluster.log_tail("default", pod["metadata"]["name"], 10) for pod in await pods(cluster)]

    await until(logs, lambda seen: len(seen) == count and all("ready" in text for text in seen))
    return await pods(cluster)


def test_a_job_runs_to_success_with_the_operators_environment(cluster: LocalCluster) -> None:
    code = "import json, os; open('env.json', 'w').write(json.dumps(dict(os.environ)))"

    async def scenario() -> list[dict[str, str]]:
        await cluster.apply_pytorchjob(pytorchjob(code, workers=1))
        done = await until(lambda: pods(cluster), all_ended)
        assert conditions(await job(cluster)) == {"Created": "True", "Running": "False", "Succeeded": "True"} or conditions(
            await job(cluster)
        ) == {"Created": "True", "Succeeded": "True"}
        assert [terminated(pod)["exitCode"] for pod in done] == [0, 0]
        assert [terminated(pod)["reason"] for pod in done] == ["Completed", "Completed"]
        return [json.loads((cluster.process(pod).work_dir / "env.json").read_text()) for pod in done]

    master, worker = asyncio.run(scenario())
    assert [e["RANK"] for e in (master, worker)] == ["0", "1"]
    assert [e["PET_NODE_RANK"] for e in (master, worker)] == ["0", "1"]
    assert master["MASTER_PORT"] == worker["PET_MASTER_PORT"] != "23456"
    assert {e["MASTER_ADDR"] for e in (master, worker)} == {"127.0.0.1"}
    assert (master["WORLD_SIZE"], master["PET_NNODES"], master["PET_NPROC_PER_NODE"]) == ("2", "2", "1")
    assert master["PYTHONUNBUFFERED"] == "1"
    assert master["KUBETUNE_REPORT_FILE"] != worker["KUBETUNE_REPORT_FILE"]


def test_the_termination_message_and_the_exit_code_reach_the_pod(cluster: LocalCluster) -> None:
    code = "import os, sys; open(os.environ['KUBETUNE_TERMINATION_LOG'], 'w').write('bad data'); sys.exit(2)"

    async def scenario() -> dict[str, Any]:
        await cluster.apply_pytorchjob(pytorchjob(code))
        (pod,) = await until(lambda: pods(cluster), all_ended)
        assert conditions(await job(cluster))["Failed"] == "True"
        return terminated(pod)

    said = asyncio.run(scenario())
    assert (said["exitCode"], said["reason"], said["message"]) == (2, "Error", "bad data")
    assert said["startedAt"] <= said["finishedAt"]


def test_death_by_a_signal_is_128_plus_its_number(cluster: LocalCluster) -> None:
    async def scenario() -> dict[str, Any]:
        await cluster.apply_pytorchjob(pytorchjob("import os; os.kill(os.getpid(), 9)"))
        (pod,) = await until(lambda: pods(cluster), all_ended)
        return terminated(pod)

    assert asyncio.run(scenario())["exitCode"] == 137


def test_a_command_that_does_not_exist_is_a_start_error(cluster: LocalCluster) -> None:
    manifest = pytorchjob("")
    manifest["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]["command"] = ["no-such-command"]

    async def scenario() -> dict[str, Any]:
        await cluster.apply_pytorchjob(manifest)
        (pod,) = await until(lambda: pods(cluster), all_ended)
        return terminated(pod)

    said = asyncio.run(scenario())
    assert (said["exitCode"], said["reason"]) == (128, "StartError")
    assert "no-such-command" in said["message"]


def test_one_failed_replica_fails_the_job_while_the_other_runs_on(cluster: LocalCluster) -> None:
    async def scenario() -> None:
        fails_when_told = "import sys, time, pathlib\nwhile not pathlib.Path(FLAG).exists(): time.sleep(0.02)\nsys.exit(1)"
        flag = cluster.state.root / "flag"
        worker = fails_when_told.replace("FLAG", repr(str(flag)))
        await cluster.apply_pytorchjob(pytorchjob(WAIT, workers=1, worker_code=worker))
        await until(lambda: pods(cluster), lambda seen: all(pod["status"]["phase"] == "Running" for pod in seen))
        flag.touch()
        failed = await until(lambda: job(cluster), lambda j: "Failed" in conditions(j))
        assert failed["status"]["replicaStatuses"] == {"Master": {"active": 1}, "Worker": {"failed": 1}}
        assert "1 Worker replica(s) failed" in failed["status"]["conditions"][-1]["message"]
        master, worker = await pods(cluster)
        assert (master["status"]["phase"], worker["status"]["phase"]) == ("Running", "Failed")

    asyncio.run(scenario())


def test_the_masters_exit_0_is_success_whatever_the_worker_does(cluster: LocalCluster) -> None:
    async def scenario() -> None:
        await cluster.apply_pytorchjob(pytorchjob("pass", workers=1, worker_code=WAIT))
        done = await until(lambda: job(cluster), lambda j: "Succeeded" in conditions(j))
        assert conditions(done)["Succeeded"] == "True"
        await until(lambda: pods(cluster), lambda seen: seen[1]["status"]["phase"] == "Running")

    asyncio.run(scenario())


def test_deletion_ends_every_descendant_also_one_in_a_session_of_its_own(cluster: LocalCluster) -> None:
    async def scenario() -> list[str]:
        stored = await cluster.apply_pytorchjob(pytorchjob(WITH_WORKER_IN_OWN_SESSION, workers=1))
        uids = [pod["metadata"]["uid"] for pod in await ready(cluster, 2)]
        assert all(len(of_pod(uid)) == 3 for uid in uids)  # supervisor, command, the command's own child
        await cluster.delete_pytorchjob("default", "demo-sft-1", stored["metadata"]["uid"])
        assert await job(cluster) is None
        await until(lambda: pods(cluster), lambda seen: seen == [])
        return uids

    assert [of_pod(uid) for uid in asyncio.run(scenario())] == [[], []]


def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace_period(cluster: LocalCluster) -> None:
    async def scenario() -> str:
        stored = await cluster.apply_pytorchjob(pytorchjob(STUBBORN, terminationGracePeriodSeconds=1))
        (pod,) = await ready(cluster)
        await cluster.delete_pytorchjob("default", "demo-sft-1", stored["metadata"]["uid"])
        (dying,) = await pods(cluster)
        assert "deletionTimestamp" in dying["metadata"]
        await until(lambda: pods(cluster), lambda seen: seen == [])
        return pod["metadata"]["uid"]

    assert of_pod(asyncio.run(scenario())) == []


def test_deletion_spares_an_object_of_another_uid(cluster: LocalCluster) -> None:
    async def scenario() -> None:
        await cluster.apply_pytorchjob(pytorchjob(WAIT))
        await cluster.delete_pytorchjob("default", "demo-sft-1", "another")
        assert await job(cluster) is not None
        assert "deletionTimestamp" not in (await pods(cluster))[0]["metadata"]

    asyncio.run(scenario())


def test_a_killed_supervisor_leaves_no_process_and_the_pod_is_lost(cluster: LocalCluster) -> None:
    async def scenario() -> dict[str, Any]:
        await cluster.apply_pytorchjob(pytorchjob(WITH_WORKER_IN_OWN_SESSION))
        (pod,) = await ready(cluster)
        command = json.loads(cluster.process(pod).record_file.read_text())["pid"]
        os.kill(psutil.Process(command).ppid(), 9)
        (pod,) = await until(lambda: pods(cluster), all_ended)
        assert of_pod(pod["metadata"]["uid"]) == []
        return terminated(pod)

    said = asyncio.run(scenario())
    assert (said["exitCode"], said["reason"]) == (137, "ContainerStatusUnknown")


def test_applying_twice_changes_nothing(cluster: LocalCluster) -> None:
    async def scenario() -> None:
        first = await cluster.apply_pytorchjob(pytorchjob(WAIT))
        second = await cluster.apply_pytorchjob(pytorchjob(WAIT))
        assert second["metadata"]["uid"] == first["metadata"]["uid"]
        assert second["metadata"]["generation"] == 1
        assert len(await pods(cluster)) == 1

    asyncio.run(scenario())


def test_a_clean_pod_policy_of_running_ends_the_rest(cluster: LocalCluster) -> None:
    manifest = pytorchjob("pass", workers=1, worker_code=WAIT)
    manifest["spec"]["runPolicy"]["cleanPodPolicy"] = "Running"

    async def scenario() -> None:
        await cluster.apply_pytorchjob(manifest)
        left = await until(lambda: pods(cluster), lambda seen: len(seen) == 1)
        assert left[0]["metadata"]["name"] == "demo-sft-1-master-0"

    asyncio.run(scenario())


def test_the_masters_report_reaches_the_jobs_status(cluster: LocalCluster) -> None:
    report = {"attempt": 1, "progress": {"step": 3, "totalSteps": 9}, "checkpoints": []}
    code = f"import os; open(os.environ['KUBETUNE_REPORT_FILE'], 'w').write({json.dumps(report)!r})"
    cluster.store.put(sftjob(phase="Running"))

    async def scenario() -> dict[str, Any]:
        await cluster.apply_pytorchjob(pytorchjob(code))
        await until(lambda: pods(cluster), all_ended)
        return await cluster.get_job("SFTJob", "default", "demo")

    status = asyncio.run(scenario())["status"]
    assert status == {"phase": "Running", "progress": {"step": 3, "totalSteps": 9}}


def test_a_report_of_another_attempt_is_not_heard(cluster: LocalCluster) -> None:
    code = """import os; open(os.environ['KUBETUNE_REPORT_FILE'], 'w').write('{"attempt": 2, "progress": {"step": 3}}')"""
    cluster.store.put(sftjob(phase="Running"))

    async def scenario() -> dict[str, Any]:
        await cluster.apply_pytorchjob(pytorchjob(code))
        await until(lambda: pods(cluster), all_ended)
        return await cluster.get_job("SFTJob", "default", "demo")

    assert asyncio.run(scenario())["status"] == {"phase": "Running"}


def test_the_operators_status_leaves_the_trainers_fields_alone(cluster: LocalCluster) -> None:
    cluster.store.put(sftjob(phase="Running", progress={"step": 3}))

    async def scenario() -> dict[str, Any]:
        seen = await cluster.get_job("SFTJob", "default", "demo")
        await cluster.write_status(seen, {"phase": "Failed", "progress": {"step": 1}})
        with pytest.raises(ClusterError) as refused:
            await cluster.write_status(seen, {"phase": "Running"})
        assert refused.value.status == 409
        return await cluster.get_job("SFTJob", "default", "demo")

    assert asyncio.run(scenario())["status"] == {"phase": "Failed", "progress": {"step": 3}}


def test_a_new_process_takes_up_the_state_and_sees_what_was_lost(cluster: LocalCluster) -> None:
    async def scenario() -> None:
        cluster.store.put(sftjob(phase="Running"))
        await cluster.apply_pytorchjob(pytorchjob(WAIT))
        await ready(cluster)
        await cluster.close(kill=True)
        later = LocalCluster(cluster.state)
        later.adopt(UID)
        assert (await later.get_job("SFTJob", "default", "demo"))["status"] == {"phase": "Running"}
        (pod,) = await later.pods("default", UID)
        assert pod["status"]["phase"] == "Failed"
        assert conditions(await later.pytorchjob("default", "demo-sft-1"))["Failed"] == "True"

    asyncio.run(scenario())


def test_another_jobs_pods_may_be_another_processs_and_are_left_alone(cluster: LocalCluster) -> None:
    async def scenario() -> None:
        await cluster.apply_pytorchjob(pytorchjob(WAIT))
        (pod,) = await ready(cluster)
        running = of_pod(pod["metadata"]["uid"])
        beside = LocalCluster(cluster.state)
        assert (await beside.pods("default", UID))[0]["status"]["phase"] == "Running"
        await beside.close(kill=True)
        assert of_pod(pod["metadata"]["uid"]) == running

    asyncio.run(scenario())


def test_gpus_that_are_not_there_are_refused_and_nothing_is_left(cluster: LocalCluster) -> None:
    manifest = pytorchjob("pass")
    container = manifest["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"nvidia.com/gpu": 1000}}

    async def scenario() -> None:
        with pytest.raises(ClusterError, match="asks for 1000 GPUs"):
            await cluster.apply_pytorchjob(manifest)
        assert await job(cluster) is None

    asyncio.run(scenario())


def test_events_are_kept_and_told(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    cluster = LocalCluster(StateDir.create(tmp_path), on_event=told.append)
    for _ in range(2):  # told again, it still is one
        asyncio.run(cluster.event(sftjob(), "Warning", "AttemptFailed", "it broke", "attempt 1"))
    assert [(e["type"], e["reason"], e["message"]) for e in told] == [("Warning", "AttemptFailed", "it broke")]
    assert json.loads((tmp_path / "events.jsonl").read_text()) == told[0]
