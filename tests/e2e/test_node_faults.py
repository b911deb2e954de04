"""What befalls a node under a training job: it is drained, lost, or silent while its containers run on."""

from __future__ import annotations

from pathlib import Path

import pytest
from node_faults import OPERATOR_TOO, KillOperators, Nodes
from real_cluster import Namespace
from real_nodes import submit
from recovery import PATIENCE, Training, now
from scenario_records import TellScenario
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3 * PATIENCE)]


SELDOM = {"everyEpoch": False, "everySteps": 60}
"""Some seconds apart: the tiny model does an epoch in less than the half second that passes until a state is read back, and counts."""

SILENT_EPOCHS = 250
"""More than attempt 1 can do until the next one has begun (more than a minute)."""

SOON = [
    {"key": f"node.kubernetes.io/{lost}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    for lost in ("not-ready", "unreachable")
]
"""Of the user's own: pods leave a lost node after 5 seconds instead of kubetune's 30."""


def node_of(training: Training, attempt: int) -> str:
    return str(training.job.pods(attempt)[0]["spec"]["nodeName"])


def test_a_node_is_drained(
    namespace: Namespace, kill_operators: KillOperators, nodes: Nodes, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, epochs=20)
    training.wait_for_state()
    node, since = node_of(training, 1), now()
    kill_operators()
    nodes.drain(node)
    seconds = training.seconds_to_next_step(since)
    assert node_of(training, 2) != node
    status = training.succeeds(attempts=2)
    assert status["attempts"][0]["reason"] == "Preempted"
    assert training.lost(1) == 0
    done = f"`kubectl drain`, {OPERATOR_TOO}; the job goes on on the other node"
    tell_scenario(training.scenario("A node is drained", done, seconds=seconds))


def test_a_node_is_lost(
    namespace: Namespace, kill_operators: KillOperators, nodes: Nodes, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, "SFTJob", epochs=60, edit={"spec.checkpoint": SELDOM})
    training.wait_for_state()
    node, since = node_of(training, 1), now()
    kill_operators()
    nodes.crash(node)
    seconds = training.seconds_to_next_step(since)
    assert node_of(training, 2) != node
    status = training.succeeds(attempts=2)
    assert status["attempts"][0]["reason"] == "NodeLost"
    assert training.lost(1) <= SELDOM["everySteps"]
    done = f"kubelet, containerd and all containers of the node killed at once, {OPERATOR_TOO}; the other node takes the job"
    tell_scenario(training.scenario("A node is lost", done, seconds=seconds))


def test_a_node_is_silent_and_its_containers_run_on(
    namespace: Namespace, kill_operators: KillOperators, nodes: Nodes, volumes: Path, tell_scenario: TellScenario
) -> None:
    training = submit(namespace, volumes, epochs=SILENT_EPOCHS, edit={"spec.template": {"tolerations": SOON}})
    training.wait_for_state()
    node, since = node_of(training, 1), now()
    kill_operators()
    nodes.silence(node)
    seconds = training.seconds_to_next_step(since)
    assert node_of(training, 2) != node
    resumed = training.steps(2)[0] - 1

    until(
        lambda: not nodes.running(node, "kubetune_trainer"),
        "the old attempt gives way",
        seconds=120,
        evidence=training.job.evidence,
    )
    done_twice = training.last_step(1) - resumed
    status = training.succeeds(attempts=2)
    assert status["attempts"][0]["reason"] == "NodeLost"
    assert "/attempt-2/" in status["finalCheckpoint"]["uri"]
    done = (
        f"its kubelet alone killed, {OPERATOR_TOO}: attempt 1 trained on to step {training.last_step(1)}, {done_twice} steps after the one that attempt 2 "
        "went on from, then gave way; nothing that it wrote after that one was used"
    )
    tell_scenario(training.scenario("A node is silent, its containers run on", done, seconds=seconds))
