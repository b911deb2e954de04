import pytest
import yaml

from kubetune.cluster import ATTEMPT, JOB_KIND, JOB_NAME, JOB_UID, MANAGED_BY
from kubetune.render import AttemptPlan, render_pytorchjob, to_yaml


def test_name_namespace_and_owner(render):
    metadata = render(AttemptPlan(number=2), name="teach").manifest["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("teach-sft-2", "lab")
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "kubetune.dev/v1alpha1",
            "kind": "SFTJob",
            "name": "teach",
            "uid": "8a1f6c02-4f0e-4f7b-9d55-0c8c7a3a5e11",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def test_labels_are_on_the_job_and_on_its_pods(render):
    rendered = render(AttemptPlan(number=3), kind="OSFTJob", name="teach", nodes=2)
    expected = {
        MANAGED_BY: "kubetune",
        JOB_NAME: "teach",
        JOB_KIND: "OSFTJob",
        JOB_UID: "8a1f6c02-4f0e-4f7b-9d55-0c8c7a3a5e11",
        ATTEMPT: "3",
    }
    assert rendered.manifest["metadata"]["labels"] == expected
    for replica in rendered.replicas.values():
        assert replica["template"]["metadata"]["labels"] == expected


def test_one_node_is_a_master_alone(render):
    assert {kind: each["replicas"] for kind, each in render(nodes=1).replicas.items()} == {"Master": 1}


@pytest.mark.parametrize("nodes", [2, 3, 16])
def test_the_other_nodes_are_workers_with_the_same_pod_but_for_the_token(render, nodes):
    replicas = render(nodes=nodes).replicas
    assert {kind: each["replicas"] for kind, each in replicas.items()} == {"Master": 1, "Worker": nodes - 1}
    tokens = {kind: each["template"]["spec"].pop("automountServiceAccountToken") for kind, each in replicas.items()}
    assert tokens == {"Master": True, "Worker": False}
    assert replicas["Master"]["template"] == replicas["Worker"]["template"]


def test_nothing_restarts_but_the_whole_gang(render):
    spec = render(nodes=2, runPolicy={"backoffLimit": 5, "activeDeadlineSeconds": 60, "ttlSecondsAfterFinished": 60}).spec
    assert {each["restartPolicy"] for each in spec["pytorchReplicaSpecs"].values()} == {"Never"}
    assert spec["runPolicy"] == {"cleanPodPolicy": "None"}
    assert "elasticPolicy" not in spec


def test_processes_per_node(render):
    assert render(procsPerNode=8).spec["nprocPerNode"] == "8"


def test_a_job_with_a_queue_is_labelled_and_born_suspended(render):
    rendered = render(queueName="research", runPolicy={"suspend": True})
    assert rendered.manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "research"
    assert "kueue.x-k8s.io/queue-name" not in rendered.template["metadata"]["labels"]
    assert rendered.spec["runPolicy"]["suspend"] is True
    assert "suspend" not in render(runPolicy={"suspend": True}).spec["runPolicy"]
    assert "kueue.x-k8s.io/queue-name" not in render().manifest["metadata"]["labels"]


def test_attempts_differ_by_name_label_and_contract_only(render):
    first, second = (render(AttemptPlan(number=n)) for n in (1, 2))
    lines = zip(to_yaml(first.manifest).splitlines(), to_yaml(second.manifest).splitlines(), strict=True)
    changed = [after.split(":")[0].strip() for before, after in lines if before != after]
    assert changed == [ATTEMPT, "name", ATTEMPT, "value"]
    assert second.contract == first.contract.model_copy(update={"attempt": 2})


def test_yaml_is_one_document_without_anchors_that_reads_back(make_job, settings):
    manifest = render_pytorchjob(make_job(nodes=2), AttemptPlan(number=1), settings)
    text = to_yaml(manifest)
    assert yaml.safe_load(text) == manifest
    assert "&id" not in text


def test_rendering_does_not_change_the_job(make_job, settings):
    job = make_job(template={"env": [{"name": "A", "value": "1"}], "sidecars": [{"name": "s", "image": "i"}]})
    before = job.model_dump()
    first = to_yaml(render_pytorchjob(job, AttemptPlan(number=1), settings))
    assert to_yaml(render_pytorchjob(job, AttemptPlan(number=1), settings)) == first
    assert job.model_dump() == before
