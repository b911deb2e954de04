"""Pods of the real images on the real nodes of e2e/cluster: the operator by its chart, volumes of this machine, evidence."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from helm import CHART, Helm
from real_cluster import Manifest, Namespace, core
from recovery import Training

from e2e.cluster.volumes import volume, volume_claim, volume_name
from e2e.images.catalogue import OPERATOR, TRAINER_CPU

SYSTEM = "kubetune-system"
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
USER = 1000
"""As whom the trainer runs (kubetune.render.plan)."""

QUICK = [
    "--poll-seconds=2",
    "--backoff-base-seconds=1",
    "--backoff-cap-seconds=4",
    "--sweep-seconds=10",
    "--straggler-seconds=5",
    "--missing-seconds=10",
]
"""Options that make a test short; what is tested is the same."""

CLAIMS = {"data": "data", "runs": "runs", "tiny": "data"}
"""By folder: `tiny` is what examples/cpu reads from."""

TRAINING = {
    "effectiveBatchSize": 8,
    "maxSeqLen": 64,
    "maxTokensPerGpu": 180,  # half a batch: two nodes share it
    "learningRate": 1.0e-3,
}
OWN = {"SFTJob": {}, "OSFTJob": {"unfreezeRankRatio": 0.5}}

ONE_POD_A_NODE = {"requests": {"cpu": "1100m"}, "limits": {"memory": "4Gi"}}
"""A node has the machine's cores: two such pods fit on none, so the scheduler spreads them."""


def install_operator(helm: Helm) -> None:
    """The chart with the images that were built here; ready when it returns."""
    repository, _, tag = OPERATOR.reference.rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "trainer": {"image": TRAINER_CPU.reference},
        "crds": {"install": False},  # the cluster has them
        "replicas": 2,  # one on each node: one of them may go
        "extraArgs": QUICK,
    }
    where = (f"--namespace={SYSTEM}", "--create-namespace", "--wait=watcher", "--timeout=3m")
    helm("upgrade", "--install", "kubetune", str(CHART), *where, f"--set-json={json.dumps(values)}")


def open_namespace(namespace: Namespace, folder: Path, model: Path, data: Path) -> None:
    """With Pod Security "restricted" and claims that are folders below `folder`."""
    api = core(namespace)
    api.create_namespace({"metadata": {"name": namespace.name, "labels": RESTRICTED}})
    for claim, name in CLAIMS.items():
        (folder / name).mkdir(exist_ok=True)
        api.create_persistent_volume(volume(namespace.name, claim, folder / name))
        api.create_namespaced_persistent_volume_claim(namespace.name, volume_claim(namespace.name, claim))
    shutil.copytree(model, folder / "data/tiny-llama")
    shutil.copyfile(data, folder / "data/train.jsonl")
    for each in (folder, *folder.rglob("*")):
        os.chown(each, USER, USER)


def close_namespace(namespace: Namespace) -> None:
    """Gone when it returns: pods that end would take the next test's place on the nodes."""
    namespace.kubectl("delete", "osftjobs,sftjobs", "--all", check=False)
    namespace.kubectl("delete", "namespace", namespace.name, "--timeout=170s", check=False)
    api = core(namespace)
    for claim in CLAIMS:
        api.delete_persistent_volume(volume_name(namespace.name, claim))


def submit(
    namespace: Namespace,
    folder: Path,
    kind: str = "OSFTJob",
    *,
    name: str = "teach",
    nodes: int = 1,
    epochs: int = 2,
    edit: Manifest | None = None,
) -> Training:
    """A job on the tiny model; its pods stay when they have ended, for their logs."""
    settled = {
        "spec.model.uri": "pvc://data/tiny-llama",
        "spec.device": "cpu",
        "spec.nodes": nodes,
        "spec.training": {**TRAINING, **OWN[kind], "numEpochs": epochs},
        "spec.resources": ONE_POD_A_NODE,
        "spec.runPolicy": {"cleanPodPolicy": "None"},
    }
    return Training(namespace.create(name, kind, {**settled, **(edit or {})}, pods={}), folder)


def keep_evidence(namespace: Namespace, system: Namespace, target: Path) -> None:
    """Everything that tells what happened, in files: jobs, pods, events, the logs of every container, of the operator and of the nodes."""
    target.mkdir(parents=True, exist_ok=True)
    tell = {
        "jobs.yaml": ("get", "osftjobs,sftjobs,pytorchjobs", "--output=yaml"),
        "pods.txt": ("describe", "pods"),
        "events.txt": ("get", "events", "--sort-by=.metadata.creationTimestamp", "--output=wide"),
        "nodes.txt": ("describe", "nodes"),
    }
    for name, command in tell.items():
        (target / name).write_text(namespace.kubectl(*command, check=False).stdout)
    for where in (namespace, system):
        for pod in where.all_pods():
            name = pod["metadata"]["name"]
            log = where.kubectl("logs", name, "--all-containers", "--timestamps", check=False)
            (target / f"{name}.log").write_text(log.stdout + log.stderr)
    for log_file in namespace.kubeconfig.parent.glob("node-*/*.log"):
        shutil.copyfile(log_file, target / f"{log_file.parent.name}-{log_file.name}")
