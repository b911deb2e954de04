"""A release from its first day to its last, on a real API server: jobs outlive all of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import CHART, Helm
from operator_process import OperatorProcess
from real_cluster import FOR_EVER, Namespace
from waiting import until

from e2e.cluster import binaries
from e2e.cluster.control_plane import ControlPlane
from e2e.cluster.tokens import account_kubeconfig

pytestmark = pytest.mark.cluster

SYSTEM, RELEASE = "kubetune-system", "kubetune"


def earlier(folder: Path) -> Path:
    """The chart as it was a version ago, when the CRDs had no spec.queueName."""
    chart = folder / "earlier"
    shutil.copytree(CHART, chart)
    description = yaml.safe_load((chart / "Chart.yaml").read_text()) | {"version": "0.0.9"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(description))
    for file in (chart / "files" / "crds").glob("*.yaml"):
        crd = yaml.safe_load(file.read_text())
        spec = spec_of(crd)
        del spec["properties"]["queueName"]
        spec["x-kubernetes-validations"] = [each for each in spec["x-kubernetes-validations"] if "queueName" not in each["rule"]]
        file.write_text(yaml.safe_dump(crd))
    return chart


def spec_of(crd: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def knows_queues(plane: ControlPlane) -> bool:
    crd = json.loads(plane.kubectl("get", "crd", "sftjobs.kubetune.dev", "-o=json"))
    return "queueName" in spec_of(crd)["properties"]


def test_installed_upgraded_rolled_back_uninstalled_and_installed_again(
    plane: ControlPlane, helm_program: Path, tmp_path: Path
) -> None:
    helm = Helm(helm_program, tmp_path / "helm", plane.kubeconfig)
    options = (f"--namespace={SYSTEM}", "--wait=watcher", "--timeout=3m")
    helm("install", RELEASE, str(earlier(tmp_path)), "--create-namespace", *options)
    assert not knows_queues(plane)
    team = Namespace("team-a", plane.kubeconfig, binaries.path("kubectl"))
    team.create_ready()
    job = team.create("kept", pods=FOR_EVER)

    helm("upgrade", RELEASE, str(CHART), *options)
    assert knows_queues(plane), "an upgrade brings the new CRDs"
    runs_a_job(plane, "team-a", job.name, tmp_path)
    helm("rollback", RELEASE, "1", *options)
    assert not knows_queues(plane)

    helm("uninstall", RELEASE, *options)
    assert job.exists, "the job outlives the release"
    assert job.phase == "Running"
    kinds = "all,poddisruptionbudget,serviceaccount,clusterrole,clusterrolebinding"
    assert plane.kubectl("get", kinds, "-A", "-o=name", f"--selector=app.kubernetes.io/instance={RELEASE}") == ""
    helm("install", RELEASE, str(CHART), "--set=namespaces={team-a}", *options)
    assert knows_queues(plane)
    assert job.exists
    runs_a_job(plane, "team-a", team.create("second", pods=FOR_EVER).name, tmp_path)
    assert (allowed(plane, "team-a"), allowed(plane, "default")) == (True, False)


def runs_a_job(plane: ControlPlane, namespace: str, name: str, folder: Path) -> None:
    """The operator as a process of this machine, with the rights that the chart gave; its fake pod is not one."""
    account = account_kubeconfig(plane.kubeconfig, SYSTEM, "kubetune", folder)
    operator = OperatorProcess(account, namespace, folder / f"{name}.log")
    operator.start(f"--lease-namespace={SYSTEM}")
    try:
        phase = ("get", "sftjob", name, f"--namespace={namespace}", "-o=jsonpath={.status.phase}")
        until(lambda: plane.kubectl(*phase) == "Running", f"{name} runs", evidence=lambda: operator.said)
    finally:
        operator.stop()
    assert "Traceback" not in operator.said, operator.said


def allowed(plane: ControlPlane, namespace: str) -> bool:
    """Whether the operator may make PyTorchJobs there."""
    wanted = {"namespace": namespace, "verb": "create", "group": "kubeflow.org", "resource": "pytorchjobs"}
    spec = {"user": f"system:serviceaccount:{SYSTEM}:kubetune", "resourceAttributes": wanted}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    answer = json.loads(plane.kubectl("create", "-f", "-", "-o=json", stdin=json.dumps(review)))
    return bool(answer["status"]["allowed"])
