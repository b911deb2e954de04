"""Kueue's side of a test: a flavor, a ClusterQueue of few GPUs, a LocalQueue in the test's namespace, priorities, Workloads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from real_cluster import Job, Manifest, Namespace

from kubetune.controller.kubernetes_api import APPLY, Request
from kubetune.render.labels import PRIORITY_CLASS

GROUP = "kueue.x-k8s.io"
VERSION = "v1beta2"
QUEUE = "gpus"
GPU = "nvidia.com/gpu"
ONE_GPU = {"limits": {GPU: 1}}


@dataclass(frozen=True)
class Queues:
    """Cluster-wide objects carry the namespace's name, so that tests share nothing."""

    namespace: Namespace

    @property
    def name(self) -> str:
        return self.namespace.name

    def make(self, gpus: int = 1) -> None:
        quota = [{"name": GPU, "nominalQuota": gpus}]
        self.apply("resourceflavors", {"kind": "ResourceFlavor"})
        self.apply(
            "clusterqueues",
            {
                "kind": "ClusterQueue",
                "spec": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.name}},
                    "queueingStrategy": "BestEffortFIFO",
                    "preemption": {"withinClusterQueue": "LowerPriority"},
                    "resourceGroups": [{"coveredResources": [GPU], "flavors": [{"name": self.name, "resources": quota}]}],
                },
            },
        )
        self.local_queue(QUEUE, self.name)
        self.apply("workloadpriorityclasses", {"kind": "WorkloadPriorityClass", "value": 1000, "description": "high"})

    def remove(self) -> None:
        """What the namespace does not take along."""
        for plural in ("workloadpriorityclasses", "clusterqueues", "resourceflavors"):
            self.namespace.delete(f"/apis/{GROUP}/{VERSION}/{plural}/{self.name}")

    def local_queue(self, name: str, cluster_queue: str) -> None:
        path = f"namespaces/{self.name}/localqueues"
        self.apply(path, {"kind": "LocalQueue", "spec": {"clusterQueue": cluster_queue}}, name)

    def apply(self, plural: str, body: Manifest, name: str | None = None) -> None:
        name = name or self.name
        document = {"apiVersion": f"{GROUP}/{VERSION}", "metadata": {"name": name}, **body}
        query = {"fieldManager": "test", "force": "true"}
        self.namespace.api.json(Request("PATCH", f"/apis/{GROUP}/{VERSION}/{plural}/{name}", query, document, APPLY))

    # jobs

    def job(self, name: str, *, queue: str = QUEUE, high: bool = False, **edit: Any) -> Job:
        """One master on one GPU, in that queue."""
        priority = {"metadata.labels": {PRIORITY_CLASS: self.name}} if high else {}
        return self.namespace.create(name, edit={"spec.queueName": queue, "spec.resources": ONE_GPU, **priority, **edit})

    def workload(self, job: Job, attempt: int = 1) -> Manifest:
        """Of that attempt's PyTorchJob."""
        owner = f"{job.name}-sft-{attempt}"
        items = self.namespace.api.items(self.workloads, query={})
        return next(w for w in items if any(o["name"] == owner for o in w["metadata"]["ownerReferences"]))

    @property
    def workloads(self) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.name}/workloads"

    def activate(self, workload: Manifest, *, active: bool) -> None:
        path = f"{self.workloads}/{workload['metadata']['name']}"
        request = Request("PATCH", path, body={"spec": {"active": active}}, content="application/merge-patch+json")
        self.namespace.api.json(request)


def owned_fields(manifest: Manifest, manager: str) -> Manifest:
    """What that field manager owns of an object, as fieldsV1."""
    entries = [e["fieldsV1"] for e in manifest["metadata"]["managedFields"] if e["manager"] == manager]
    assert len(entries) == 1, manifest["metadata"]["managedFields"]
    return dict(entries[0])
