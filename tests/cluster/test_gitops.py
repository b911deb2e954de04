"""What docs/gitops.md answers, done as a GitOps tool does it: the same files applied again and again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from case import SMALLEST, edited
from operator_process import OperatorProcess
from real_cluster import FOR_EVER, Job, Namespace, reached_end
from waiting import until

from kubetune_trainer.contract import CONTRACT_ENV

pytestmark = pytest.mark.cluster

DEFAULTS = "{imagePullPolicy: Always, template: {tolerations: [{key: gpu, operator: Exists}], labels: {team: platform}}}"
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVER_SIDE = ("--server-side", "--field-manager=gitops")


def in_git(namespace: Namespace, folder: Path, **edit: Any) -> Path:
    """The job's file, as a team has it."""
    template = {"spec.template": {"annotations": FOR_EVER}}
    document = edited(SMALLEST["SFTJob"], {"metadata.name": "teach", "metadata.namespace": namespace.name, **template, **edit})
    file = folder / "teach.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def sync(namespace: Namespace, file: Path, *options: str, check: bool = True) -> str:
    done = namespace.kubectl("apply", f"--filename={file}", *options, check=check)
    return done.stdout + done.stderr


def output(namespace: Namespace) -> str:
    """Where the one attempt that is there writes."""
    (child,) = namespace.children()
    (container,) = child["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]["containers"]
    variables = {each["name"]: each.get("value") for each in container["env"]}
    return str(json.loads(variables[CONTRACT_ENV])["output"])


def drift(namespace: Namespace, file: Path, *options: str) -> str:
    """What a tool would see between the file and the cluster; empty: nothing."""
    done = namespace.kubectl("diff", f"--filename={file}", *options, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def test_argo_cds_config_map_takes_the_patch(namespace: Namespace):
    """As docs/gitops.md types it, in a namespace of the test's own."""
    namespace.kubectl("create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example")
    patch = yaml.safe_load((DEPLOY / "argocd/argocd-cm.yaml").read_text())
    namespace.kubectl("patch", "configmap", "argocd-cm", f"--patch={json.dumps({'data': patch['data']})}")
    there = json.loads(namespace.kubectl("get", "configmap", "argocd-cm", "-o", "json").stdout)["data"]
    assert there == patch["data"] | {"url": "https://argocd.example"}


@pytest.mark.parametrize("options", [(), SERVER_SIDE], ids=["client-side", "server-side"])
def test_there_is_no_drift_by_defaults_and_nothing_is_trained_again(
    namespace: Namespace, operator: OperatorProcess, tmp_path: Path, options: tuple[str, ...]
):
    (tmp_path / "defaults.yaml").write_text(DEFAULTS)
    operator.kill()
    operator.start(f"--job-defaults={tmp_path / 'defaults.yaml'}")
    file = in_git(namespace, tmp_path, **{"spec.runPolicy": {"ttlSecondsAfterFinished": 1}})
    sync(namespace, file, *options)
    job = Job(namespace, "SFTJob", "teach")
    job.wait_attempt(1)
    pod = job.pods(1)[0]
    assert {"key": "gpu", "operator": "Exists"} in pod["spec"]["tolerations"], "the pods have the defaults"
    assert pod["metadata"]["labels"]["team"] == "platform"
    assert drift(namespace, file, *options) == ""
    job.end(1, reached_end())
    job.wait("Succeeded")
    until(lambda: not namespace.children(), "its time to live is over", evidence=job.evidence)
    assert drift(namespace, file, *options) == ""
    before = job.get()
    sync(namespace, file, *options)
    after = job.get()
    laid_over = {"nodes": 1}  # the CRD's one default, which the column NODES shows: nobody applied it, so nobody misses it
    assert after["spec"] == yaml.safe_load(file.read_text())["spec"] | laid_over
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert (after["metadata"]["generation"], job.phase, namespace.children()) == (1, "Succeeded", [])
    assert "finalizers" not in after["metadata"]
    assert set(after["metadata"].get("annotations", {})) <= {"kubectl.kubernetes.io/last-applied-configuration"}


def test_a_change_of_what_was_trained_is_refused_and_only_force_trains_it_anew(
    namespace: Namespace, operator: OperatorProcess, tmp_path: Path
):
    sync(namespace, in_git(namespace, tmp_path), *SERVER_SIDE)
    job = Job(namespace, "SFTJob", "teach")
    job.wait_attempt(1)
    job.end(1, reached_end())
    job.wait("Succeeded")
    uid, first = job.get()["metadata"]["uid"], output(namespace)
    file = in_git(namespace, tmp_path, **{"spec.training": {"numEpochs": 7}})
    said = sync(namespace, file, *SERVER_SIDE, check=False)
    assert "spec.training" in said
    assert "may not change once the job has started; make a new job with another name" in said
    assert (job.get()["metadata"]["uid"], job.phase) == (uid, "Succeeded")

    sync(namespace, in_git(namespace, tmp_path, **{"spec.runPolicy": {"backoffLimit": 9}, "spec.image": "trainer:2"}), *SERVER_SIDE)
    assert job.get()["spec"]["image"] == "trainer:2", "what is not trained may change"
    assert (job.phase, len(job.attempts)) == ("Succeeded", 1)

    namespace.kubectl("replace", "--force", f"--filename={in_git(namespace, tmp_path, **{'spec.training': {'numEpochs': 7}})}")
    job.wait_attempt(1)
    assert job.get()["metadata"]["uid"] != uid
    assert output(namespace) != first, "the first one's files are not touched"


def test_suspended_by_hand_it_stays_so_over_a_sync(namespace: Namespace, operator: OperatorProcess, tmp_path: Path):
    file = in_git(namespace, tmp_path)
    sync(namespace, file, *SERVER_SIDE)
    job = Job(namespace, "SFTJob", "teach")
    job.wait_attempt(1)
    namespace.kubectl("patch", "sftjob", "teach", "--type=merge", "--patch", json.dumps({"spec": {"runPolicy": {"suspend": True}}}))
    job.wait("Suspended")
    sync(namespace, file, *SERVER_SIDE)
    assert drift(namespace, file, *SERVER_SIDE) == ""
    assert job.get()["spec"]["runPolicy"] == {"suspend": True}
    sync(namespace, in_git(namespace, tmp_path, **{"spec.runPolicy": {"suspend": False}}), *SERVER_SIDE, "--force-conflicts")
    job.wait_attempt(2)
