"""An installation's defaults in the loop: rendered, never written, and no disturbance of what runs."""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from datetime import datetime
from typing import Any

from fake_cluster import FakeCluster, at, failure, job, success
from loop import started
from observations import SETTINGS

from kubetune.api.defaults import NONE, JobDefaults, load_defaults
from kubetune.controller.reconcile import reconcile
from kubetune_trainer.contract import FailureClass

POOL_A = load_defaults("{image: 'trainer:a', template: {nodeSelector: {pool: a}}}")
POOL_B = load_defaults("{image: 'trainer:b', queueName: shared, template: {nodeSelector: {pool: b}}}")


def once(cluster: FakeCluster, now: datetime, defaults: JobDefaults) -> None:
    cluster.now = now
    settings = replace(SETTINGS, job_defaults=defaults)
    asyncio.run(reconcile(cluster, "SFTJob", "default", "teach", now, settings))


def pod(child: dict[str, Any]) -> dict[str, Any]:
    return child["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]


def test_the_child_has_them_and_the_job_has_not():
    cluster = FakeCluster(job())
    before = copy.deepcopy({key: cluster.job[key] for key in ("metadata", "spec")})
    once(cluster, at(0), POOL_B)
    child = cluster.children["teach-sft-1"]
    assert pod(child)["nodeSelector"] == {"pool": "b"}
    assert pod(child)["containers"][0]["image"] == "trainer:b"
    assert child["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "shared"
    assert child["spec"]["runPolicy"]["suspend"] is True, "a default queue, too, admits the job before it runs"
    assert cluster.job["spec"] == before["spec"]
    assert cluster.job["status"]["conditions"][1]["message"].startswith("attempt 1 was put into queue shared")


def test_a_changed_default_leaves_a_running_attempt_alone_and_counts_for_the_next_one():
    cluster, (master,) = started()
    child = copy.deepcopy(cluster.children["teach-sft-1"])
    status = copy.deepcopy(cluster.status)
    for second, defaults in ((20, POOL_A), (30, POOL_B), (40, NONE)):
        once(cluster, at(second), defaults)
        assert cluster.children == {"teach-sft-1": child}
        assert cluster.status == status
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    for second in (50, 55, 200, 205):
        once(cluster, at(second), POOL_A)
    assert pod(cluster.children["teach-sft-2"])["nodeSelector"] == {"pool": "a"}
    assert next(c for c in cluster.status["conditions"] if c["type"] == "Valid")["status"] == "True"


def test_a_changed_default_does_nothing_to_a_job_that_is_over():
    cluster, (master,) = started()
    cluster.end_pod(master, 0, success())
    for second in (100, 105):
        once(cluster, at(second), NONE)
    status = copy.deepcopy(cluster.status)
    assert status["phase"] == "Succeeded"
    once(cluster, at(200), POOL_B)
    assert cluster.status == status
