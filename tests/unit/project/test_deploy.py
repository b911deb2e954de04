"""deploy/ agrees with the code. What it permits and refuses is tested against a real API server."""

import json
from pathlib import Path
from typing import Any

import yaml

from kubetune.api import PodTemplate
from kubetune.api.base import GROUP
from kubetune.api.defaults import FIELDS, REFUSED
from kubetune.cluster import REPORTER
from kubetune.controller.kubernetes_cluster import PLURALS, reporter_manifests
from kubetune_trainer.api_report import FIELD_MANAGER

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
CHART = DEPLOY.parent / "charts" / "kubetune"
KUSTOMIZATION = "kustomization.yaml"


def objects() -> dict[tuple[str, str], dict[str, Any]]:
    files = [file for file in DEPLOY.glob("*.yaml") if file.name != KUSTOMIZATION]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def test_every_file_is_applied():
    listed = yaml.safe_load((DEPLOY / KUSTOMIZATION).read_text())["resources"]
    assert sorted([*listed, KUSTOMIZATION]) == sorted(file.name for file in DEPLOY.iterdir() if file.is_file())


def test_the_chart_takes_as_defaults_of_jobs_what_the_operator_takes():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["jobDefaults"]
    assert set(schema["properties"]) == set(FIELDS)
    refused = {path.removeprefix("template.") for path in REFUSED}
    known = {field.alias for field in PodTemplate.model_fields.values()} - refused
    assert set(schema["properties"]["template"]["properties"]) == known


def test_a_trainer_may_patch_status_and_nothing_else():
    statuses = sorted(f"{plural}/status" for plural in PLURALS.values())
    (rule,) = objects()["ClusterRole", REPORTER]["rules"]
    assert (rule["apiGroups"], sorted(rule["resources"]), rule["verbs"]) == ([GROUP], statuses, ["patch"])
    (matched,) = objects()["ValidatingAdmissionPolicy", REPORTER]["spec"]["matchConstraints"]["resourceRules"]
    assert (matched["apiGroups"], sorted(matched["resources"])) == ([GROUP], statuses)


def test_the_policy_denies_and_fails_closed():
    assert objects()["ValidatingAdmissionPolicy", REPORTER]["spec"]["failurePolicy"] == "Fail"
    assert objects()["ValidatingAdmissionPolicyBinding", REPORTER]["spec"] == {
        "policyName": REPORTER,
        "validationActions": ["Deny"],
    }


def test_the_policy_names_the_operators_account_and_the_trainers_field_manager():
    account = objects()["ServiceAccount", "kubetune"]["metadata"]
    policy = objects()["ValidatingAdmissionPolicy", REPORTER]["spec"]
    assert f'"system:serviceaccount:{account["namespace"]}:{account["name"]}"' in policy["matchConditions"][0]["expression"]
    assert f'"{FIELD_MANAGER}"' in policy["validations"][-1]["expression"]


def test_the_operator_may_make_what_it_makes():
    rules = objects()["ClusterRole", "kubetune-operator"]["rules"]
    rights = {
        (g, r, v): set(rule.get("resourceNames", ()))
        for rule in rules
        for g in rule["apiGroups"]
        for r in rule["resources"]
        for v in rule["verbs"]
    }
    for path, manifest in reporter_manifests("lab"):
        group, _, _ = manifest["apiVersion"].rpartition("/")
        plural, name = path.split("/")[-2:]
        assert rights[group, plural, "patch"] == rights[group, plural, "create"] == {name} == {REPORTER}
    trainers = {
        (g, r, v)
        for rule in objects()["ClusterRole", REPORTER]["rules"]
        for g in rule["apiGroups"]
        for r in rule["resources"]
        for v in rule["verbs"]
    }
    assert trainers <= set(rights), "the operator may bind the role because it holds what the role grants"
    assert not {verb for _, _, verb in rights} & {"*", "bind", "escalate", "impersonate"}
    assert not {right for right in rights if "*" in right or "secrets" in right}
