"""What the chart renders, byte for byte: `pytest tests/cluster/chart --update-golden` writes the files anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helm import CHART, Helm

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
    ],
)
def test_a_wrong_value_is_refused_by_name(helm: Helm, given: str, said: str) -> None:
    assert said in helm("template", "kubetune", str(CHART), f"--set={given}", fails=True)
