"""What befalls the pods of a job, its operator and its API server while it trains: the job goes on, and says what happened."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from node_faults import OPERATOR_TOO, KillOperators, Nodes
from real_cluster import Namespace
from real_nodes import submit
from recovery import EPOCH, PATIENCE, now
from scenario_records import TellScenario
from transcript import watching
from waiting import until

from e2e.cluster import control_plane, processes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3 * PATIENCE)]


def test_a_worker_is_deleted(
    namespace: Namespace, volumes: Path, tmp_path: Path, tell_scenario: TellScenario, tell_run: Callable[[str], None]
) -> None:
    training = submit(namespace, volumes, nodes=2, epochs=20)
    with watching(training.job, tmp_path) as watch:
        training.wait_for_state()
        worker, since = training.job.pods(1)[1]["metadata"]["name"], now()
        namespace.kubectl("delete", "pod", worker, "--wait=false")
        seconds = training.seconds_to_next_step(since)
        status = training.succeeds(attempts=2)
        tell_run(watch.text())
    assert worker in status["attempts"][0]["message"]
    assert training.lost(1) <= EPOCH
    tell_scenario(training.scenario("A worker's pod is deleted", f"`kubectl delete pod {worker}`, two nodes", seconds=seconds))


def test_the_master_is_deleted_and_the_operator_killed(
    namespace: Namespace, kill_operators: KillOperators, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, "SFTJob", nodes=2, epochs=20)
    training.wait_for_state()
    master, since = training.job.pods(1)[0]["metadata"]["name"], now()
    namespace.kubectl("delete", "pod", master, "--wait=false")
    kill_operators()
    seconds = training.seconds_to_next_step(since)
    training.succeeds(attempts=2)
    assert training.lost(1) <= EPOCH
    done = f"`kubectl delete pod {master}`, two nodes; {OPERATOR_TOO}"
    tell_scenario(training.scenario("The master's pod is deleted, the operator killed", done, seconds=seconds))


@pytest.mark.smoke
def test_a_pod_is_evicted(namespace: Namespace, volumes: Path, tell_scenario: TellScenario) -> None:
    training = submit(namespace, volumes, epochs=20)
    training.wait_for_state()
    pod, since = training.job.pods(1)[0]["metadata"]["name"], now()
    evict(namespace, pod)
    seconds = training.seconds_to_next_step(since)
    status = training.succeeds(attempts=2)
    assert status["attempts"][0]["reason"] == "Preempted"
    assert training.lost(1) == 0
    assert status.get("restarts", 0) == 0
    tell_scenario(training.scenario("The pod is evicted", "the Eviction API, as `kubectl drain` asks it", seconds=seconds))


def evict(namespace: Namespace, pod: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace.name}}
    path = f"/api/v1/namespaces/{namespace.name}/pods/{pod}/eviction"
    namespace.kubectl("create", f"--raw={path}", "-f", "-", stdin=json.dumps(eviction))


def test_the_operator_is_killed(
    namespace: Namespace, kill_operators: KillOperators, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, epochs=20)
    training.wait_for_state()
    kill_operators()
    training.succeeds()
    tell_scenario(training.scenario("The operator is killed", "SIGKILL to all its replicas while the job trains"))


def test_the_api_server_is_away(
    namespace: Namespace, kill_operators: KillOperators, nodes: Nodes, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, epochs=450)  # it is to outlast the half minute
    training.wait_for_state()
    before, since = training.last_step(1), now()
    processes.stop(nodes.plane.folder, "kube-apiserver")
    try:
        until(lambda: (now() - since).total_seconds() > 30, "half a minute", seconds=60)
        after = training.last_step(1)
    finally:
        control_plane.start_api_server(nodes.plane)
    kill_operators()
    status = training.succeeds()
    assert before < after < status["progress"]["totalSteps"], "it trained on"
    done = f"its process killed, started again after 30 s; meanwhile the job went from step {before} to step {after}; then {OPERATOR_TOO}"
    tell_scenario(training.scenario("The API server is away", done))


def test_a_job_is_suspended_and_resumed(
    namespace: Namespace, kill_operators: KillOperators, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, "SFTJob", epochs=100)  # it is to outlast the election of another operator, twice
    training.wait_for_state()
    training.job.patch({"runPolicy": {"suspend": True}})
    kill_operators()
    status = training.job.wait("Suspended", seconds=120)
    stopped = training.last_step(1)
    confirmed = [each for each in status["checkpoints"] if each["kind"] == "full-state" and each["verified"]]
    assert max(each["step"] for each in confirmed) == stopped
    until(lambda: not training.job.pods(1), "its pods are gone")

    since = now()
    training.job.patch({"runPolicy": {"suspend": False}})
    kill_operators()
    seconds = training.seconds_to_next_step(since)
    training.succeeds(attempts=2)
    assert training.lost(1) == 0
    done = f"`suspend: true`; Suspended with a verified state of step {stopped}, its last; then `suspend: false`; both times {OPERATOR_TOO}"
    tell_scenario(training.scenario("Suspended, and resumed", done, seconds=seconds))


def test_a_job_that_is_deleted_leaves_nothing_but_its_checkpoints(
    namespace: Namespace, kill_operators: KillOperators, nodes: Nodes, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, epochs=60)
    training.wait_for_state()
    folder, since = training.folder, now()
    scenario = training.scenario("Deleted in mid-run", f"`kubectl delete osftjob`; {OPERATOR_TOO}", said="gone")
    training.job.delete()
    kill_operators()
    until(partial(nothing_left, namespace, nodes), "nothing is left", seconds=120, evidence=namespace.all_pods)
    seconds = (now() - since).total_seconds()
    assert list(folder.glob("attempt-1/**/kubetune-manifest.json")), "checkpoints are the user's"
    said = f"nothing: after {seconds:.0f} s no job, PyTorchJob, pod, Service or process of it was there; its checkpoints were"
    tell_scenario(type(scenario)(scenario.name, scenario.done, said, 1))


def nothing_left(namespace: Namespace, nodes: Nodes) -> bool:
    listed = namespace.kubectl("get", "osftjobs,pytorchjobs,pods,services", "--output=name").stdout
    return not listed and not [each for name in nodes.all for each in nodes.running(name, "kubetune_trainer")]
