"""What the chart renders, byte for byte: `pytest tests/cluster/chart --update-golden` writes the files anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from helm import CHART, Helm

from kubetune.api.defaults import load_defaults

pytestmark = pytest.mark.cluster

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name.removesuffix(".values.yaml") for path in GOLDEN.glob("*.values.yaml"))


def rendered(helm: Helm, *options: str) -> str:
    return helm("template", "kubetune", str(CHART), "--namespace=kubetune-system", *options)


@pytest.mark.parametrize("case", CASES)
def test_values_to_manifests(helm: Helm, case: str, request: pytest.FixtureRequest) -> None:
    """But for the CRDs, which have a test of their own."""
    found = rendered(helm, f"--values={GOLDEN / case}.values.yaml", "--set=crds.install=false", "--api-versions=policy/v1")
    file = GOLDEN / f"{case}.yaml"
    if request.config.getoption("--update-golden"):
        file.write_text(found)
    assert found == file.read_text()


def test_there_are_cases() -> None:
    assert {"default", "everything", "namespaces"} <= set(CASES)


def test_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_the_crds_are_those_of_the_project_and_stay_when_the_release_goes(helm: Helm) -> None:
    found = list(yaml.safe_load_all(rendered(helm, "--show-only=templates/crds.yaml")))
    own = [yaml.safe_load(path.read_text()) for path in sorted((CHART.parents[1] / "crds").glob("*.yaml"))]
    for crd in own:
        crd["metadata"].setdefault("annotations", {})["helm.sh/resource-policy"] = "keep"
    assert sorted(found, key=str) == sorted(own, key=str)


def test_crds_that_go_with_the_release_on_request(helm: Helm) -> None:
    assert "resource-policy" not in rendered(helm, "--set=crds.keep=false", "--show-only=templates/crds.yaml")


def test_the_dashboard_is_the_projects_where_the_sidecar_finds_it(helm: Helm) -> None:
    options = (
        "--set=grafanaDashboard.enabled=true",
        "--set=grafanaDashboard.namespace=monitoring",
        "--set=grafanaDashboard.labels.mine=yes",
    )
    (found,) = yaml.safe_load_all(rendered(helm, *options, "--show-only=templates/monitoring.yaml"))
    assert found["metadata"]["namespace"] == "monitoring"
    assert {"grafana_dashboard": "1", "mine": "yes"}.items() <= found["metadata"]["labels"].items()
    assert found["data"] == {"kubetune.json": (CHART.parents[1] / "deploy" / "grafana" / "kubetune.json").read_text()}


def test_the_alerts_are_the_projects(helm: Helm) -> None:
    (found,) = yaml.safe_load_all(rendered(helm, "--set=prometheusRule.enabled=true", "--show-only=templates/monitoring.yaml"))
    assert found["spec"] == yaml.safe_load((CHART.parents[1] / "deploy" / "prometheus" / "alerts.yaml").read_text())


def test_defaults_of_jobs_reach_the_operator_as_a_file_that_it_reads_and_new_ones_start_it_anew(helm: Helm, tmp_path: Path) -> None:
    def manifests(text: str) -> dict[str, dict[str, Any]]:
        values = tmp_path / "values.yaml"
        values.write_text(text)
        kinds = yaml.safe_load_all(rendered(helm, f"--values={values}", "--set=crds.install=false"))
        return {each["kind"]: each for each in kinds if each and each["kind"] in ("ConfigMap", "Deployment")}

    some = manifests("jobDefaults: {queueName: 'on', template: {nodeSelector: {pool: gpu}, tolerations: []}}")
    ((name, text),) = some["ConfigMap"]["data"].items()
    assert load_defaults(text).queue_name == "on"
    pod = some["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    (mount,) = [each for each in container["volumeMounts"] if each["name"] == "job-defaults"]
    (volume,) = [each for each in pod["spec"]["volumes"] if each["name"] == "job-defaults"]
    assert volume["configMap"]["name"] == some["ConfigMap"]["metadata"]["name"]
    assert f"--job-defaults={mount['mountPath']}/{name}" in container["args"]
    other = manifests("jobDefaults: {queueName: other}")
    assert other["Deployment"]["spec"]["template"]["metadata"]["annotations"] != pod["metadata"]["annotations"]
    assert "ConfigMap" not in manifests("jobDefaults: {}")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("replicas=0", "replicas"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.digest=latest", "digest"),
        ("replica=3", "replica"),
        ("logFormat=xml", "logFormat"),
        ("namespaces={Team_A}", "namespaces"),
        ("extraArgs={verbose}", "extraArgs"),
        ("jobDefaults.imag=x", "imag"),
        ("jobDefaults.resources.limits.cpu=1", "resources"),
        ("jobDefaults.imagePullPolicy=Sometimes", "imagePullPolicy"),
        ("jobDefaults.template.serviceAccountName=x", "serviceAccountName"),
        ("grafanaDashboard.enable=true", "enable"),
        ("tracing.endpoint=collector:4318", "endpoint"),
        ("tracing.variables.PATH=/tmp", "PATH"),
        ("tracing.headers=a", "headers"),
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, given: str, said: str) -> None:
    assert said in helm("template", "kubetune", str(CHART), f"--set={given}", fails=True)
