"""examples/gitops built by kubectl's own kustomize; what Flux makes of a job by the health checks that stand there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from standings import STANDINGS, manifest

from e2e.cluster import binaries
from kubetune.api import KINDS, Job, parse_job
from kubetune.api.defaults import parse_defaults
from kubetune.api.documents import load_documents

pytestmark = pytest.mark.cluster

GITOPS = Path(__file__).resolve().parents[2] / "examples" / "gitops"
FLUX = {
    "unseen": "InProgress",
    "queued": "InProgress",
    "starting": "InProgress",
    "running": "Current",
    "restarting": "InProgress",
    "suspended": "Current",
    "succeeded": "Current",
    "failed": "Failed",
    "invalid": "Failed",
    "edited": "InProgress",
    "changed_while_running": "Current",
    "changed_and_stopped": "Failed",
    "refused": "Failed",
}


def built(kubectl: Path, folder: Path) -> list[dict[str, Any]]:
    done = subprocess.run([kubectl, "kustomize", folder], text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return load_documents(done.stdout)


def jobs(kubectl: Path, overlay: str) -> dict[str, Job]:
    found = [parse_job(document) for document in built(kubectl, GITOPS / "overlays" / overlay)]
    return {job.metadata.name: job for job in found}


def test_dev_is_small_and_names_refer_to_one_another(kubectl: Path):
    found = jobs(kubectl, "dev")
    assert set(found) == {"teach-2026-11-dev", "refine-2026-11-dev"}
    for job in found.values():
        assert (job.metadata.namespace, job.spec.image, job.spec.nodes) == ("research-dev", "kubetune-trainer:nightly", 1)
    start = found["refine-2026-11-dev"].spec.resume_from
    assert start is not None
    assert start.job_ref is not None
    assert start.job_ref.name == "teach-2026-11-dev"


def test_prod_is_large_and_queued(kubectl: Path):
    found = jobs(kubectl, "prod")
    assert set(found) == {"teach-2026-11", "refine-2026-11"}
    for job in found.values():
        assert (job.metadata.namespace, job.spec.queue_name, job.spec.nodes) == ("research", "research", 2)
        assert job.metadata.labels["kueue.x-k8s.io/priority-class"] == "training"


def test_a_generated_secrets_hash_reaches_the_jobs(kubectl: Path, tmp_path: Path):
    for name in ("teach.yaml", "kubetune.yaml"):
        (tmp_path / name).write_text((GITOPS / "base" / name).read_text())
    token = {"name": "hugging-face", "literals": ["HF_TOKEN=x"]}
    wanted = {"resources": ["teach.yaml"], "configurations": ["kubetune.yaml"], "secretGenerator": [token]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    documents = {each["kind"]: each for each in built(kubectl, tmp_path)}
    secret = documents["Secret"]["metadata"]["name"]
    assert secret != "hugging-face"
    assert documents["OSFTJob"]["spec"]["model"]["secretRef"] == {"name": secret}


@pytest.mark.parametrize(("overlay", "replicas", "queue"), [("dev", 1, None), ("prod", None, "shared")])
def test_the_operators_overlays_have_values_of_the_chart(kubectl: Path, overlay: str, replicas: int | None, queue: str | None):
    (application,) = built(kubectl, GITOPS / "operator" / "overlays" / overlay)
    values = application["spec"]["source"]["helm"]["valuesObject"]
    known = yaml.safe_load((GITOPS.parents[1] / "charts" / "kubetune" / "values.yaml").read_text())
    assert set(values) <= set(known)
    assert values.get("replicas") == replicas
    assert parse_defaults(values["jobDefaults"]).queue_name == queue


def flux_checks() -> list[dict[str, Any]]:
    (kustomization,) = yaml.safe_load_all((GITOPS / "flux" / "jobs.yaml").read_text())
    return list(kustomization["spec"]["healthCheckExprs"])


def test_what_flux_makes_of_each_standing():
    checks = flux_checks()
    assert [each["kind"] for each in checks] == list(reversed(KINDS))
    for check in checks:
        given = {"expressions": check, "objects": [manifest(name) for name in STANDINGS]}
        done = subprocess.run(
            [binaries.path("flux-health")], input=json.dumps(given), text=True, capture_output=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert dict(zip(STANDINGS, done.stdout.split(), strict=True)) == FLUX
