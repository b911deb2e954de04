import dataclasses
import json

import pytest

from kubetune.cluster import JOB_NAME, MANAGED_BY, REPORTER
from kubetune_trainer.contract import CONTRACT_ENV

LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def test_trainer_container(render):
    container = render().container
    assert container["name"] == "pytorch"
    assert container["image"] == "registry.example/kubetune-trainer:1"
    assert container["command"] == ["python", "-m", "kubetune_trainer.entrypoint"]
    assert container["ports"] == [{"name": "pytorchjob-port", "containerPort": 23456}]
    assert container["terminationMessagePolicy"] == "File"
    assert "imagePullPolicy" not in container


def test_image_of_the_job(render):
    container = render(image="registry.example/own:2", imagePullPolicy="Always").container
    assert (container["image"], container["imagePullPolicy"]) == ("registry.example/own:2", "Always")


def test_the_contract_is_all_the_environment_but_home(render):
    assert set(render().env) == {CONTRACT_ENV, "HOME"}


def test_home_is_the_settings(render, settings):
    assert render(settings=dataclasses.replace(settings, scratch="/home/ada")).env["HOME"] == "/home/ada"


def test_the_contract_survives_kubernetes_references(render):
    patterns = ["$(HOME)", "$$", "\\$"]
    training = {
        "unfreezeRankRatio": 0.3,
        "effectiveBatchSize": 8,
        "maxTokensPerGpu": 512,
        "maxSeqLen": 256,
        "learningRate": 1e-5,
        "targetPatterns": patterns,
    }
    rendered = render(kind="OSFTJob", training=training)
    assert "$" not in rendered.env[CONTRACT_ENV]
    assert rendered.contract.training["target_patterns"] == patterns


def test_the_users_environment_wins(render):
    users = [
        {"name": "HOME", "value": "/data"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]
    rendered = render(template={"env": users})
    names = [each["name"] for each in rendered.container["env"]]
    assert names == [CONTRACT_ENV, "HOME", "NODE"]
    assert rendered.container["env"][1:] == users


def test_secrets_become_variables_each_once(render):
    rendered = render(
        model={"uri": "hf://org/name@main", "secretRef": {"name": "hub"}},
        dataset={"uri": "pvc://data/a.jsonl", "secretRef": {"name": "hub"}},
        template={"envFrom": [{"configMapRef": {"name": "proxy"}}]},
    )
    assert rendered.container["envFrom"] == [{"secretRef": {"name": "hub"}}, {"configMapRef": {"name": "proxy"}}]
    assert "hub" not in json.dumps(rendered.env)


def test_the_trackers_secrets_become_variables(render):
    rendered = render(tracking={"mlflow": {"secretRef": {"name": "mlflow"}}, "wandb": {"secretRef": {"name": "wandb"}}})
    assert rendered.container["envFrom"] == [{"secretRef": {"name": "mlflow"}}, {"secretRef": {"name": "wandb"}}]


def test_a_lost_node_is_left_soon(render):
    short = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30} for key in LOST]
    assert render().pod["tolerations"] == short


def test_the_users_tolerations_are_kept_and_theirs_for_lost_nodes_win(render):
    users = [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": LOST[1], "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 900},
    ]
    tolerations = render(template={"tolerations": users}).pod["tolerations"]
    assert tolerations[0]["key"] == LOST[0]
    assert tolerations[1:] == users


def test_a_toleration_of_scheduling_there_is_not_one_of_staying_there(render):
    users = [{"key": LOST[1], "operator": "Exists", "effect": "NoSchedule"}]
    tolerations = render(template={"tolerations": users}).pod["tolerations"]
    assert [each["key"] for each in tolerations if each["effect"] == "NoExecute"] == list(LOST)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nodeSelector", {"pool": "a"}),
        ("affinity", {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
        ("imagePullSecrets", [{"name": "registry"}]),
        ("priorityClassName", "high"),
        ("runtimeClassName", "nvidia"),
        ("schedulerName", "volcano"),
    ],
)
def test_template_fields_reach_the_pod(render, field, value):
    assert render(template={field: value}).pod[field] == value
    assert field not in render().pod


def test_labels_and_annotations_of_the_template_come_beside_ours(render):
    metadata = render(template={"labels": {"team": "a"}, "annotations": {"b": "c"}}).template["metadata"]
    assert metadata["labels"]["team"] == "a"
    assert (metadata["labels"][MANAGED_BY], metadata["labels"][JOB_NAME]) == ("kubetune", "j")
    assert metadata["annotations"] == {"b": "c"}


def test_sidecars_end_with_the_trainer(render):
    pod = render(template={"sidecars": [{"name": "metrics", "image": "m:1", "securityContext": {"runAsUser": 5}}]}).pod
    (sidecar,) = pod["initContainers"]
    assert (sidecar["name"], sidecar["image"], sidecar["restartPolicy"]) == ("metrics", "m:1", "Always")
    assert sidecar["securityContext"] == {
        "runAsUser": 5,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert len(pod["containers"]) == 1


def test_grace_period(render):
    assert render(runPolicy={"terminationGracePeriodSeconds": 300}).pod["terminationGracePeriodSeconds"] == 300


def test_no_service_variables(render):
    assert render().pod["enableServiceLinks"] is False


def test_the_master_alone_gets_a_token_to_report_with(render):
    rendered = render(nodes=2)
    pods = {kind: replica["template"]["spec"] for kind, replica in rendered.replicas.items()}
    assert {kind: pod["automountServiceAccountToken"] for kind, pod in pods.items()} == {"Master": True, "Worker": False}
    assert {pod["serviceAccountName"] for pod in pods.values()} == {REPORTER}
    assert rendered.contract.report == "api"


def test_the_users_service_account_wins(render):
    rendered = render(nodes=2, template={"serviceAccountName": "buckets"})
    pods = [replica["template"]["spec"] for replica in rendered.replicas.values()]
    assert [(pod["serviceAccountName"], pod["automountServiceAccountToken"]) for pod in pods] == [
        ("buckets", True),
        ("buckets", False),
    ]


def test_restricted(render):
    """What the "restricted" Pod Security Standard asks for, field by field."""
    rendered = render()
    assert rendered.pod["securityContext"]["runAsNonRoot"] is True
    assert rendered.pod["securityContext"]["runAsUser"] > 0
    assert rendered.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rendered.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(rendered.pod)
    assert not [volume for volume in rendered.pod["volumes"] if "hostPath" in volume]


def test_the_users_security_context_wins_field_by_field(render):
    context = render(template={"securityContext": {"runAsUser": 5000, "supplementalGroups": [1]}}).pod["securityContext"]
    assert (context["runAsUser"], context["supplementalGroups"], context["runAsNonRoot"]) == (5000, [1], True)
