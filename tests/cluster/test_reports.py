"""What the trainer reports, under a field manager of its own, and what the operator does with it."""

from __future__ import annotations

import json

import pytest
from case import ABSENT
from operator_process import OperatorProcess
from real_cluster import TRAINER, Job, Manifest, Namespace, checkpoint, failed, now, reached_end
from waiting import until

from kubetune_trainer.contract import CONTRACT_ENV

pytestmark = pytest.mark.cluster


def progress(step: int) -> Manifest:
    return {"step": step, "totalSteps": 20, "percent": 5.0 * step, "loss": 1.25, "etaSeconds": 90, "updatedTime": now()}


def contract(child: Manifest) -> Manifest:
    (container,) = child["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    (value,) = [variable["value"] for variable in container["env"] if variable["name"] == CONTRACT_ENV]
    return dict(json.loads(value))


def row(job: Job) -> dict[str, str]:
    head, values = job.namespace.kubectl("get", f"{job.kind.lower()}s", job.name).stdout.splitlines()
    return dict(zip(head.split(), values.split(), strict=True))


def test_reports_survive_the_operators_writes_and_show_in_the_columns(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    states = [checkpoint(4), checkpoint(8)]
    job.report(progress=progress(8), checkpoints=states)
    shown = row(job)
    assert (shown["PHASE"], shown["NODES"], shown["RESTARTS"]) == ("Running", "1", "0")
    assert shown["PROGRESS"].startswith("40")
    assert (shown["LOSS"], shown["ETA"]) == ("1.25", "90")
    job.end(1, reached_end(step=20))
    status = job.wait("Succeeded")
    assert status["progress"]["step"] == 8
    assert status["checkpoints"] == states
    owners = {entry["manager"] for entry in job.get()["metadata"]["managedFields"] if "f:progress" in json.dumps(entry["fieldsV1"])}
    assert owners == {TRAINER}


def test_the_next_attempt_goes_on_from_the_newest_verified_state(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    torn = checkpoint(12, verified=False)
    job.report(progress=progress(13), checkpoints=[checkpoint(4), checkpoint(8), checkpoint(12, "hf"), torn])
    job.end(1, failed("BackendError", "NCCL broke", step=13), code=1)
    second = job.wait_attempt(2)
    assert second["resumedFrom"] == checkpoint(8)["uri"]
    assert job.attempts[0]["lastStep"] == 13
    until(lambda: [c["metadata"]["name"] for c in namespace.children()] == ["teach-sft-2"], "the first child is gone")
    given = contract(namespace.children()[0])
    assert (given["attempt"], [path.rsplit("/", 1)[1] for path in given["resumeFrom"]]) == (2, ["full-state-8", "full-state-4"])
    job.report(progress=progress(10), checkpoints=[checkpoint(8), checkpoint(10, attempt=2)])
    job.end(2, failed("BackendError", "NCCL broke", 2, step=10), code=1)
    assert job.wait_attempt(3)["resumedFrom"] == checkpoint(10, attempt=2)["uri"]


def test_a_job_goes_on_from_another_ones_checkpoint(namespace: Namespace, operator: OperatorProcess):
    second = namespace.create("second", edit={"spec.resumeFrom": {"jobRef": {"name": "first"}}, "spec.model": ABSENT})
    until(
        lambda: "first" in second.condition("Reconciling").get("message", ""), "it says what it waits for", evidence=second.evidence
    )
    assert namespace.children() == []
    first = namespace.create("first")
    first.wait_attempt(1)
    assert (second.phase, second.condition("Reconciling")["reason"]) == ("Pending", "WaitingForJob")
    first.end(1, reached_end())
    first.wait("Succeeded")
    second.wait_attempt(1)
    (child,) = [c for c in namespace.children() if c["metadata"]["name"] == "second-sft-1"]
    assert contract(child)["model"].endswith("/teach/attempt-1/hf-10")
    second.end(1, reached_end())
    second.wait("Succeeded")
