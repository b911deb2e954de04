"""The same work in three forms: N jobs of one master and one worker whose (fake) pods run some seconds.

The bare PyTorchJob is the one that the operator renders for the job, and the TrainJob's pods are the master's: what differs is
who makes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubetune.api import API_VERSION, parse_job
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob
from kubetune_trainer.contract import Checkpoint, Outcome

Manifest = dict[str, Any]
IMAGE = "trainer:1"
KUBETUNE, PYTORCHJOB, TRAINJOB = "kubetune", "PyTorchJob", "TrainJob"
RUNTIME = "bench"


@dataclass(frozen=True)
class Workload:
    """How a form of the work is created and how its end shows."""

    name: str
    api: str
    """Path of the API's group and version."""

    plural: str
    manifest: Callable[[str, str, str], Manifest]
    """(namespace, name, seconds that the pods run: `5s`) -> the job."""

    programs: tuple[str, ...]
    """Who does the work; each is measured."""

    child: tuple[str, str] | None = None
    """(api, plural) of the object that its operator makes for a job, beside the pods."""

    done: Callable[[Manifest], bool] = lambda _: False
    running: Callable[[Manifest], bool] = lambda _: False

    def path(self, namespace: str) -> str:
        return f"{self.api}/namespaces/{namespace}/{self.plural}"


def outcome() -> str:
    """The words of a trainer that reached its end; here kwok says them."""
    final = Checkpoint(uri="/data/runs/hf-10", step=10, bytes=1000, kind="hf", verified=True)
    return Outcome(reached_end=True, attempt=1, step=10, total_steps=10, checkpoint=final).to_message()


def job(namespace: str, name: str, seconds: str) -> Manifest:
    """On CPU, from absolute paths: the scheduler needs no volume, the node no GPU."""
    return {
        "apiVersion": API_VERSION,
        "kind": "SFTJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"uri": "/data/model"},
            "dataset": {"uri": "/data/train.jsonl"},
            "output": {"uri": "/data/runs"},
            "nodes": 2,
            "device": "cpu",
            "template": {
                "annotations": {"test/run-seconds": seconds, "test/outcome": outcome()},
                "volumes": [{"name": "data", "hostPath": {"path": "/data"}}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            },
        },
    }


def rendered(namespace: str, name: str, seconds: str) -> Manifest:
    """What the operator makes of it, without an owner."""
    document = job(namespace, name, seconds)
    document["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    manifest = render_pytorchjob(parse_job(document), AttemptPlan(1), RenderSettings(image=IMAGE))
    manifest["metadata"] = {"name": name, "namespace": namespace}
    return manifest


def train_job(namespace: str, name: str, _seconds: str) -> Manifest:
    spec = {"runtimeRef": {"name": RUNTIME, "kind": "TrainingRuntime"}, "trainer": {"numNodes": 2}}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": metadata, "spec": spec}


def runtime(namespace: str, seconds: str) -> Manifest:
    """What TrainJobs of the namespace refer to; the pod is that of the PyTorchJob's master."""
    pod = json.loads(json.dumps(rendered(namespace, "pod", seconds)["spec"]["pytorchReplicaSpecs"]["Master"]["template"]))
    pod["metadata"].pop("labels", None)
    pod["spec"]["restartPolicy"] = "Never"
    pod["spec"]["containers"][0]["name"] = "node"  # the name that Trainer asks for
    ancestor = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    replicated = [{"name": "node", "template": {"metadata": {"labels": ancestor}, "spec": {"template": pod}}}]
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainingRuntime",
        "metadata": {"name": RUNTIME, "namespace": namespace},
        "spec": {
            "mlPolicy": {"numNodes": 1, "torch": {"numProcPerNode": 1}},
            "template": {"spec": {"replicatedJobs": replicated}},
        },
    }


def condition(kind: str) -> Callable[[Manifest], bool]:
    def holds(manifest: Manifest) -> bool:
        conditions = (manifest.get("status") or {}).get("conditions") or []
        return any(c["type"] == kind and c["status"] == "True" for c in conditions)

    return holds


def phase(name: str) -> Callable[[Manifest], bool]:
    return lambda manifest: bool((manifest.get("status") or {}).get("phase") == name)


KUBEFLOW = "/apis/kubeflow.org/v1"
WORKLOADS = {
    w.name: w
    for w in (
        Workload(
            PYTORCHJOB, KUBEFLOW, "pytorchjobs", rendered, ("training-operator",), done=condition("Succeeded"),
            running=condition("Running"),
        ),
        Workload(
            KUBETUNE, f"/apis/{API_VERSION}", "sftjobs", job, ("kubetune", "training-operator"), (KUBEFLOW, "pytorchjobs"),
            done=phase("Succeeded"), running=phase("Running"),
        ),
        Workload(
            TRAINJOB, "/apis/trainer.kubeflow.org/v1alpha1", "trainjobs", train_job, ("trainer", "jobset"),
            ("/apis/jobset.x-k8s.io/v1alpha2", "jobsets"), done=condition("Complete"),
        ),
    )
}  # fmt: skip
