"""Jobs that cannot run: the status names the true cause, and soon."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from node_faults import Nodes
from real_cluster import Job, Manifest, Namespace
from real_nodes import submit
from recovery import PATIENCE
from scenario_records import Scenario, TellScenario
from waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(PATIENCE)]

LITTLE = {"requests": {"cpu": "100m"}, "limits": {"memory": "2Gi"}}
ONCE = {"backoffLimit": 0, "cleanPodPolicy": "None"}
SAID_SECONDS = 60


def cause(job: Job) -> tuple[str, str]:
    """(reason, message) of what the job waits for."""
    running = job.condition("Running")
    return running.get("reason", ""), running.get("message", "")


def waits(job: Job, words: str) -> bool:
    return words in " ".join(cause(job))


def said_soon(job: Job, words: str) -> str:
    """The status's own words, once those are among them."""
    until(partial(waits, job, words), f"{words!r} in the status", seconds=SAID_SECONDS, evidence=job.evidence)
    reason, message = cause(job)
    return f"{job.phase}, {reason}: {message}"


def failed(job: Job) -> Manifest:
    status = job.wait("Failed", "Succeeded", seconds=PATIENCE)
    assert status["phase"] == "Failed", job.evidence()
    return dict(status["failure"])


def test_what_cannot_be_started_is_said_within_a_minute(namespace: Namespace, volumes: Path, tell_scenario: TellScenario) -> None:
    small = {"spec.resources": LITTLE, "spec.runPolicy": ONCE}
    image = submit(namespace, volumes, name="image", edit={**small, "spec.image": "localhost/no-such-image:1"}).job
    hub = {"spec.model": {"uri": "hf://org/name", "secretRef": {"name": "no-such-secret"}}}
    secret = submit(namespace, volumes, name="secret", edit={**small, **hub}).job
    huge = {"spec.resources": {"requests": {"memory": "900Gi"}, "limits": {"memory": "900Gi"}}}
    large = submit(namespace, volumes, name="large", edit={**small, **huge}).job

    soon = {
        job.name: said_soon(job, words)
        for job, words in ((image, "no-such-image"), (secret, "no-such-secret"), (large, "Insufficient memory"))
    }
    first, second = failed(image), failed(secret)
    assert first["class"] == "ImagePull"
    assert second["class"] == "UserError"
    assert large.phase == "Starting"
    ends = f"; two minutes later Failed, {first['class']}"
    tell_scenario(Scenario("An image that does not exist", "`spec.image: localhost/no-such-image:1`", soon["image"] + ends, 1))
    ends = f"; two minutes later Failed, {second['class']}"
    tell_scenario(Scenario("A Secret that does not exist", "`secretRef` of the model names none", soon["secret"] + ends, 1))
    tell_scenario(Scenario("No node is large enough", "900 GiB of memory", soon["large"], 1))


def test_a_container_out_of_memory(namespace: Namespace, volumes: Path, tell_scenario: TellScenario) -> None:
    tight = {"spec.resources": {"requests": {"cpu": "1100m"}, "limits": {"memory": "700Mi"}}, "spec.runPolicy": ONCE}
    job = submit(namespace, volumes, edit=tight).job
    failure = failed(job)
    assert failure["class"] == "HostOOM"
    tell_scenario(Scenario("Out of memory", "a limit of 700 MiB", f"{failure['class']}: {failure['message']}", 1))


@pytest.fixture
def small_volume(namespace: Namespace, nodes: Nodes, volumes: Path) -> Iterator[Path]:
    """The claim `runs` is a disk of 400 kB on each node."""
    folder = volumes / "runs"
    for each in nodes.all.values():
        each.run("mount", "-t", "tmpfs", "-o", "size=400k,uid=1000,gid=1000", "tmpfs", str(folder))
    yield folder
    for each in nodes.all.values():
        each.run("umount", "--lazy", str(folder))


def test_a_disk_is_full(namespace: Namespace, volumes: Path, small_volume: Path, tell_scenario: TellScenario) -> None:
    job = submit(namespace, volumes, edit={"spec.runPolicy": ONCE}).job
    failure = failed(job)
    assert failure["class"] == "DiskFull"
    assert "free" in failure["message"]
    tell_scenario(Scenario("The disk is full", "an output of 400 kB", f"{failure['class']}: {failure['message']}", 1))
