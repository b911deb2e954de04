from __future__ import annotations

import pytest
from manifests import pytorchjob
from operator_process import OperatorProcess
from real_cluster import FOR_EVER, Namespace, reached_end
from waiting import until

from kubetune.controller.kubernetes_api import Request
from kubetune.controller.kubernetes_cluster import PYTORCHJOBS

pytestmark = pytest.mark.cluster

LONGEST = "a" + "b" * 38 + "c"


def test_the_longest_name_on_two_nodes(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(LONGEST, kind="OSFTJob", edit={"spec.nodes": 2})
    job.wait_attempt(1)
    until(lambda: len(job.pods(1)) == 2, "both pods", evidence=job.evidence)
    job.end(1, reached_end())
    assert job.wait("Succeeded", "Failed")["phase"] == "Succeeded"


def test_a_name_that_is_longer_is_refused(namespace: Namespace):
    refused = namespace.kubectl("create", "-f", "-", stdin=SMALL.format(name=LONGEST + "d"), check=False)
    assert refused.returncode
    assert "metadata.name" in refused.stderr


SMALL = """
apiVersion: kubetune.dev/v1alpha1
kind: SFTJob
metadata: {{name: {name}}}
spec: {{model: {{uri: hf://org/name}}, dataset: {{uri: pvc://data/train.jsonl}}, output: {{uri: pvc://runs}}}}
"""


def test_somebody_elses_pytorchjob_is_left_alone(namespace: Namespace, operator: OperatorProcess):
    foreign = pytorchjob("pass", name="teach-sft-1")
    foreign["metadata"] = {"name": "teach-sft-1", "namespace": namespace.name, "labels": {"mine": "yes"}}
    foreign["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["metadata"] = {"annotations": FOR_EVER}
    made = namespace.api.json(Request("POST", PYTORCHJOBS.format(namespace.name), body=foreign))
    job = namespace.create()
    status = job.wait("Failed", "Running")
    assert (status["phase"], status["failure"]["reason"]) == ("Failed", "NameTaken")
    assert "delete it" in status["failure"]["message"]
    (still,) = namespace.children()
    assert still["metadata"]["uid"] == made["metadata"]["uid"]
    assert still["metadata"]["labels"] == {"mine": "yes"}
    assert "ownerReferences" not in still["metadata"]


CHANGE = '{"spec": {"training": {"learningRate": 0.0001}}}'


def test_what_is_trained_may_not_change_once_started(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create()
    job.wait_attempt(1)
    refused = namespace.kubectl("patch", "sftjob", "teach", "--type=merge", "-p", CHANGE, check=False)
    assert refused.returncode
    assert "spec.training" in refused.stderr
    assert "may not change once the job has started; make a new job with another name" in refused.stderr
    job.patch({"runPolicy": {"backoffLimit": 7}})
    generation = job.get()["metadata"]["generation"]
    until(lambda: job.status["observedGeneration"] == generation, "the change that is allowed is seen", evidence=job.evidence)
    assert len(job.attempts) == 1


def test_a_change_before_the_start_is_trained(namespace: Namespace, operator: OperatorProcess):
    job = namespace.create(edit={"spec.runPolicy": {"suspend": True}})
    job.wait("Suspended")
    namespace.kubectl("patch", "sftjob", "teach", "--type=merge", "-p", CHANGE)
    job.patch({"runPolicy": {"suspend": False}})
    job.wait_attempt(1)
    assert '"learning_rate":0.0001' in str(namespace.children()[0]["spec"])
