"""Rights of which no request tells, because the API server asks for them within another one: each is taken away, and it is missed.

Those that requests tell of are compared at the end of `make test-cluster` (e2e.cluster.rights).
"""

from __future__ import annotations

import asyncio
import subprocess
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_cluster import job
from kubernetes import client
from waiting import until

from e2e.cluster.rights import CHECKED_WITHIN, ROOT, Right
from kubetune.api import parse_job
from kubetune.cluster import ClusterError, Manifest
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune.controller.kubernetes_cluster import KubernetesCluster
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob

pytestmark = pytest.mark.cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"


def rules_without(right: Right) -> list[dict[str, Any]]:
    """The operator's, each verb of that resource but this one."""
    documents = yaml.safe_load_all((ROOT / "deploy" / "operator-rbac.yaml").read_text())
    (role,) = (d for d in documents if d["kind"] == "ClusterRole")
    rules = []
    for rule in deepcopy(role["rules"]):
        named = right.group in rule["apiGroups"] and right.resource in rule["resources"]
        rules.append({**rule, "verbs": [v for v in rule["verbs"] if not (named and v == right.verb)] or ["none"]})
    return rules


class Deprived:
    """An account that may do what the operator may, but for one thing, in a namespace of its own."""

    def __init__(self, kubeconfig: Path) -> None:
        self.name = f"rights-{uuid.uuid4().hex[:10]}"
        self._known = connect(str(kubeconfig)).configuration
        self.admin = KubernetesApi(connect(str(kubeconfig)))
        self.admin.json(Request("POST", "/api/v1/namespaces", body={"metadata": {"name": self.name}}))
        self.admin.json(Request("POST", f"/api/v1/namespaces/{self.name}/serviceaccounts", body={"metadata": {"name": "me"}}))
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.name}
        subjects = [{"kind": "ServiceAccount", "name": "me", "namespace": self.name}]
        self.admin.json(Request("POST", f"{RBAC}/clusterroles", body={"metadata": {"name": self.name}, "rules": []}))
        binding = {"metadata": {"name": self.name}, "roleRef": role, "subjects": subjects}
        self.admin.json(Request("POST", f"{RBAC}/clusterrolebindings", body=binding))

    def give(self, rules: list[dict[str, Any]]) -> None:
        merge = "application/merge-patch+json"
        self.admin.json(Request("PATCH", f"{RBAC}/clusterroles/{self.name}", body={"rules": rules}, content=merge))

    def cluster(self) -> KubernetesCluster:
        path = f"/api/v1/namespaces/{self.name}/serviceaccounts/me/token"
        answer = self.admin.json(Request("POST", path, body={"spec": {"expirationSeconds": 3600}}))
        configuration = client.Configuration(host=self._known.host)
        configuration.ssl_ca_cert, configuration.retries = self._known.ssl_ca_cert, False
        configuration.api_key = {"authorization": answer["status"]["token"]}
        configuration.api_key_prefix = {"authorization": "Bearer"}
        return KubernetesCluster(KubernetesApi(client.ApiClient(configuration)))

    def close(self) -> None:
        for path in (
            f"{RBAC}/clusterrolebindings/{self.name}",
            f"{RBAC}/clusterroles/{self.name}",
            f"/api/v1/namespaces/{self.name}",
        ):
            self.admin.json(Request("DELETE", path))


@pytest.fixture
def deprived(kubeconfig: Path, kubectl: Path) -> Iterator[Deprived]:
    subprocess.run(
        [kubectl, f"--kubeconfig={kubeconfig}", "apply", "-k", ROOT / "deploy"], check=True, capture_output=True, timeout=180
    )
    it = Deprived(kubeconfig)
    yield it
    it.close()


def child(namespace: str, kind: str) -> Manifest:
    document = job(kind, uid=str(uuid.uuid4()))
    document["metadata"]["namespace"] = namespace
    return render_pytorchjob(parse_job(document), AttemptPlan(1), RenderSettings(image="trainer:1"))


def attempt(right: Right, namespace: str) -> Callable[[KubernetesCluster], Any]:
    """What the operator does that asks for it."""
    if right.resource in ("serviceaccounts", "rolebindings"):
        return lambda cluster: asyncio.run(cluster.ensure_reporter(namespace))
    kind = "OSFTJob" if right.resource.startswith("osft") else "SFTJob"
    return lambda cluster: asyncio.run(cluster.apply_pytorchjob(child(namespace, kind)))


def refusal(cluster: KubernetesCluster, do: Callable[[KubernetesCluster], Any]) -> str | None:
    try:
        do(cluster)
    except ClusterError as error:
        return str(error)
    return None


@pytest.mark.parametrize("right", sorted(CHECKED_WITHIN), ids=str)
def test_without_it_the_operator_is_refused_and_with_it_not(deprived: Deprived, right: Right):
    do, cluster = attempt(right, deprived.name), deprived.cluster()
    deprived.give(rules_without(right))
    word = "blockOwnerDeletion" if right.resource.endswith("/finalizers") else f"cannot {right.verb} resource"
    seen = until(lambda: (said := refusal(cluster, do)) is None or (word in said and said), f"{right} is missed")
    assert isinstance(seen, str), "it was not missed: the operator does not need it"
    deprived.give(rules_without(Right("none", "none", "none")))
    until(lambda: refusal(cluster, do) is None, f"with {right} it is done")
