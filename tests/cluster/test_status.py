"""The status as the API server keeps it: before the operator's first look, and at its largest."""

from __future__ import annotations

import json
import subprocess

import pytest
from operator_process import OperatorProcess
from real_cluster import Job, Namespace, checkpoint, reached_end

from e2e.cluster import binaries
from kubetune.api.crd import UNSEEN
from kubetune.cluster import ClusterError
from kubetune.controller.bounds import MAX_OWN_BYTES, MAX_STATUS_BYTES, json_bytes
from kubetune.controller.kubernetes_api import Request
from kubetune_trainer.contract import MAX_CHECKPOINTS, MAX_URI, MAX_URI_BYTES, Checkpoint, newest

pytestmark = pytest.mark.cluster


def table(namespace: Namespace, *options: str) -> dict[str, str]:
    """What `kubectl get` shows of the one job, by column."""
    head, row = namespace.kubectl("get", "sftjob", *options).stdout.splitlines()
    starts = [i for i, c in enumerate(head) if c != " " and (i == 0 or head[i - 1] == " ")]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def kstatus(job: Job) -> str:
    done = subprocess.run([binaries.path("kstatus")], input=json.dumps([job.get()]), text=True, capture_output=True, check=True)
    return done.stdout.split("\t")[0]


def test_a_job_is_pending_before_the_operator_has_looked(namespace: Namespace):
    job = namespace.create()
    assert job.status == UNSEEN
    assert kstatus(job) == "InProgress"
    seen = table(namespace, "-o", "wide")
    assert (seen["PHASE"], seen["PROGRESS"], seen["NODES"], seen["REASON"]) == ("Pending", "", "1", "")
    owners = json.loads(namespace.kubectl("get", "sftjob", "teach", "-o", "json", "--show-managed-fields").stdout)
    assert not [entry for entry in owners["metadata"]["managedFields"] if "f:status" in entry["fieldsV1"]], "nobody owns a default"


def test_a_status_below_the_unseen_generation_is_refused(namespace: Namespace):
    job = namespace.create()
    with pytest.raises(ClusterError, match="observedGeneration"):
        job.report("kubetune", observedGeneration=-2)


def test_the_operators_first_look_takes_the_default_over(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    assert job.status["observedGeneration"] == 1
    assert kstatus(job) == "InProgress"
    job.report(progress={"step": 5, "totalSteps": 10, "percent": 50.0, "loss": 1.25, "tokensPerSecond": 900.5, "etaSeconds": 60})
    seen = table(namespace, "-o", "wide")
    assert (seen["PHASE"], seen["PROGRESS"], seen["LOSS"], seen["ETA"], seen["RESTARTS"]) == ("Running", "50", "1.25", "60", "0")
    assert (seen["REASON"], seen["TOKENS/S"]) == ("Running", "900.5")
    job.end(1, reached_end())
    job.wait("Succeeded")
    assert kstatus(job) == "Current"
    assert table(namespace, "-o", "wide")["CHECKPOINT"] == reached_end()["checkpoint"]["uri"]


def long(count: int, text: str) -> list[dict[str, object]]:
    return [{**checkpoint(n), "uri": f"pvc://runs/{n}/{text}"[:MAX_URI]} for n in range(count)]


TOO_LARGE = {
    "a URI too long": [{**checkpoint(1), "uri": "x" * (MAX_URI + 1)}],
    "too many checkpoints": long(MAX_CHECKPOINTS + 1, ""),
    "URIs too long together": long(MAX_CHECKPOINTS, "x" * 900),
    "text that is not ASCII": long(MAX_CHECKPOINTS, "é" * 450),
    "text that JSON escapes": long(MAX_CHECKPOINTS, "<" * 150),
    "a time without end": [{**checkpoint(1), "time": f"2026-01-01T00:00:00.{'0' * 100}Z"}],
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_a_report_that_is_too_large_is_refused_and_the_status_stays(namespace: Namespace, what: str):
    job = namespace.create()
    job.report("kubetune", phase="Running", observedGeneration=1)
    job.report(progress={"step": 3}, checkpoints=[checkpoint(3)])
    before = job.status
    with pytest.raises(ClusterError, match="checkpoints"):
        job.report(progress={"step": 4}, checkpoints=TOO_LARGE[what])
    assert job.status == before


@pytest.mark.parametrize("text", ["x" * 900, "é" * 450, "<" * 150, "𝄞" * 220, '"' * 900, "x" * MAX_URI])
def test_what_the_trainer_leaves_of_a_report_is_taken(namespace: Namespace, text: str):
    """The trainer counts as the API server does, and the bytes that are stored are no more."""
    job = namespace.create()
    kept = newest([Checkpoint.model_validate(each) for each in long(30, text)])
    said = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in kept]
    job.report(progress={"step": 3}, checkpoints=said)
    assert job.status["checkpoints"] == said
    assert 0 < len(said) < MAX_CHECKPOINTS
    raw = namespace.api.text(Request("GET", job.path))
    stored = raw[raw.index('{"checkpoints":') : raw.rindex("}")]
    assert len(stored.encode()) == json_bytes(job.status), "the operator counts as the API server writes"
    assert len(stored.encode()) < MAX_URI_BYTES + MAX_CHECKPOINTS * 250 < MAX_STATUS_BYTES - MAX_OWN_BYTES
