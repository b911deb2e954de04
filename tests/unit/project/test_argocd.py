"""The health check for Argo CD, run by a real Lua 5.1 (the version of Argo CD's own interpreter) on statuses that the loop writes."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from lupa.lua51 import LuaRuntime
from standings import STANDINGS, manifest

from kubetune.api import KINDS
from kubetune.api.base import GROUP

ARGOCD = Path(__file__).resolve().parents[3] / "deploy" / "argocd"

EXPECTED = {
    "unseen": ("Progressing", "the operator has not looked"),
    "queued": ("Progressing", "the PyTorchJob is suspended"),
    "starting": ("Progressing", "attempt 1 was started"),
    "running": ("Progressing", "Running"),
    "restarting": ("Progressing", "the next one starts after a back-off"),
    "suspended": ("Suspended", "runPolicy.suspend is true"),
    "succeeded": ("Healthy", "reached step 30 of 30"),
    "failed": ("Degraded", "it broke"),
    "invalid": ("Degraded", "learningRat"),
    "edited": ("Progressing", "the operator has not looked"),
    "changed_while_running": ("Degraded", "spec.training.numEpochs was changed"),
    "changed_and_stopped": ("Degraded", "was changed after the first attempt had started"),
    "refused": ("Degraded", "exceeded quota"),
}


def health(job: dict[str, Any]) -> tuple[str, str]:
    """As Argo CD runs it: the object is the global `obj`, the answer what the chunk returns."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(job, recursive=True)
    answer = lua.execute((ARGOCD / "health.lua").read_text())
    return answer.status, answer.message


@pytest.mark.parametrize("name", STANDINGS)
def test_what_argo_cd_makes_of_each_standing(name: str):
    status, message = EXPECTED[name]
    said = health(manifest(name))
    assert said[0] == status
    assert message in said[1]


def test_a_job_without_any_status_progresses():
    assert health({"metadata": {"generation": 1}})[0] == "Progressing"


def test_the_application_does_as_the_page_says():
    """Argo CD itself is not to be had here: this is what docs/gitops.md says of its fields."""
    application = yaml.safe_load((ARGOCD.parents[1] / "examples/gitops/argocd/jobs.yaml").read_text())
    source, policy = application["spec"]["source"], application["spec"]["syncPolicy"]
    assert (ARGOCD.parents[1] / "examples/gitops" / source["path"] / "kustomization.yaml").is_file()
    assert policy["automated"] == {"selfHeal": True, "prune": False}
    assert policy["syncOptions"] == ["ServerSideApply=true"], "and none that deletes a job whose change is refused"


def test_the_config_map_holds_the_same_script_for_each_kind():
    patch = yaml.safe_load((ARGOCD / "argocd-cm.yaml").read_text())
    assert patch["metadata"] == {"name": "argocd-cm", "namespace": "argocd"}
    script = (ARGOCD / "health.lua").read_text()
    assert patch["data"] == {f"resource.customizations.health.{GROUP}_{kind}": script for kind in KINDS}
