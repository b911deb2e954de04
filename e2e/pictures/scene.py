"""What the pictures show: three teams' jobs in a cluster of 48 GPUs for some minutes, with what befalls such jobs.

Nothing is trained: pods are kwok's, and what a trainer would report is made up (e2e/cluster/player.py). All else is real: API
server, scheduler, Kueue, training operator, two replicas of the operator, Prometheus.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from e2e.cluster import player, processes, volumes
from e2e.cluster.control_plane import ControlPlane
from e2e.dashboard import stage
from e2e.dashboard.burst import OSFT
from e2e.dashboard.questions import ROOT
from kubetune.api.base import API_VERSION, GROUP, VERSION
from kubetune.cluster import JOB_NAME
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune_trainer.contract import FailureClass

Manifest = dict[str, Any]
QUEUED, FREE, TRIED = "research", "support", "sandbox"
"""Namespaces: with a queue for 16 GPUs; without one; where nothing works."""

QUEUES = ROOT / "examples" / "kueue" / "queues.yaml"
QUEUED_GPUS = 16
PLAYERS = {namespace: f"player-{namespace}" for namespace in (QUEUED, FREE, TRIED)}
NODES = 6
PACE = ("--backoff-base-seconds=15", "--quiet-seconds=2", "--sweep-seconds=60")
LENGTH = 12.0
"""Minutes that the scene takes as it is written down here."""


@dataclass(frozen=True)
class Job:
    """At which minute it is created, and for how many minutes it trains."""

    at: float
    namespace: str
    name: str
    kind: str = "SFTJob"
    minutes: float = 4.0
    nodes: int = 1
    spec: Manifest = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    fails: FailureClass | None = None


LONGEST = "support-13b"
"""From the beginning to the end, once killed in between: what the row "One job" shows."""

URGENT = {"kueue.x-k8s.io/priority-class": "urgent"}
FOLLOWS = {"resumeFrom": {"jobRef": {"name": "teach-law"}}, "model": None}
JOBS = (
    Job(0.2, QUEUED, "teach-law", "OSFTJob", 4.5),
    Job(0.3, FREE, LONGEST, "OSFTJob", 10.5),
    Job(0.3, FREE, "faq-nightly", minutes=3.0),
    Job(0.4, QUEUED, "teach-medicine", "OSFTJob", 5.0, spec=FOLLOWS),
    Job(0.6, QUEUED, "granite-8b-sft", minutes=5.0),
    Job(0.8, FREE, "tone-of-voice", minutes=5.0),
    Job(1.0, QUEUED, "granite-2b-sft", minutes=3.5),
    Job(1.2, FREE, "ticket-triage", minutes=3.5, nodes=2),
    Job(1.5, QUEUED, "rank-30", "OSFTJob", 3.0),
    Job(1.6, QUEUED, "rank-50", "OSFTJob", 3.0),
    Job(2.0, TRIED, "no-such-column", minutes=1.0, fails=FailureClass.DATA_ERROR),
    Job(2.6, TRIED, "long-context", minutes=2.0, fails=FailureClass.CUDA_OOM),
    Job(3.0, QUEUED, "hotfix", minutes=1.5, labels=URGENT),
    Job(4.2, FREE, "tickets-german", minutes=3.0),
    Job(4.4, FREE, "tickets-french", minutes=3.0),
    Job(5.5, TRIED, "wrong-template", minutes=1.0, fails=FailureClass.USER_ERROR),
    Job(5.8, TRIED, "wide-batch", minutes=2.0, fails=FailureClass.CUDA_OOM),
    Job(6.3, FREE, "summaries", minutes=6.5),
    Job(6.8, FREE, "faq-weekly", "OSFTJob", 7.0),
    Job(7.5, QUEUED, "granite-8b-math", minutes=4.0),
    Job(8.0, FREE, "routing", minutes=5.0, nodes=2),
    Job(9.0, QUEUED, "granite-2b-math", minutes=4.0),
    Job(10.0, QUEUED, "rank-70", "OSFTJob", 3.0),
    Job(11.3, TRIED, "long-answers", minutes=1.0, fails=FailureClass.CUDA_OOM),
    Job(11.6, FREE, "tickets-spanish", minutes=3.0, nodes=2),
)


@dataclass(frozen=True)
class Cluster:
    """Who can do what happens."""

    plane: ControlPlane
    api: KubernetesApi
    ports: dict[str, int]
    """Of the operator's replicas."""

    minute: float
    """How many seconds a minute of the scene takes."""

    def kill(self, namespace: str, job: str) -> None:
        """Its master's process, as the kernel does it when the memory is used up."""
        path = f"/api/v1/namespaces/{namespace}/pods"
        for pod in self.api.items(path, query={"labelSelector": f"{JOB_NAME}={job}"}):
            if "-master-" in pod["metadata"]["name"] and pod["status"].get("phase") == "Running":
                self.patch(f"{path}/{pod['metadata']['name']}", {"metadata": {"annotations": {"test/exit-code": "137"}}})

    def suspend(self, namespace: str, job: str, *, wanted: bool = True) -> None:
        self.patch(f"{path_of(namespace, 'SFTJob')}/{job}", {"spec": {"runPolicy": {"suspend": wanted}}})

    def create(self, job: Job) -> None:
        self.api.json(Request("POST", path_of(job.namespace, job.kind), body=manifest(job, self.minute)))

    def stop(self, replica: str) -> None:
        processes.stop(self.plane.folder, replica)

    def start(self, replica: str) -> None:
        stage.start_operator(self.plane, replica, PACE, self.ports[replica])

    def patch(self, path: str, body: Manifest) -> None:
        self.api.json(Request("PATCH", path, body=body, content=player.MERGE))


def happens() -> list[tuple[float, Callable[[Cluster], None]]]:
    """In order: what is done at which minute."""
    leader = stage.REPLICAS[0]
    done: list[tuple[float, Callable[[Cluster], None]]] = [
        (4.6, lambda cluster: cluster.kill(FREE, "tone-of-voice")),
        (5.2, lambda cluster: cluster.suspend(FREE, "tickets-french")),
        (6.5, lambda cluster: cluster.stop(leader)),
        (6.9, lambda cluster: cluster.kill(FREE, LONGEST)),
        (7.2, lambda cluster: cluster.start(leader)),
        (7.6, lambda cluster: cluster.suspend(FREE, "tickets-french", wanted=False)),
        (10.4, lambda cluster: cluster.kill(FREE, "summaries")),
        (LENGTH, lambda _: None),
    ]
    done += [(job.at, created(job)) for job in JOBS]
    return sorted(done, key=lambda each: each[0])


def created(job: Job) -> Callable[[Cluster], None]:
    return lambda cluster: cluster.create(job)


def path_of(namespace: str, kind: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{kind.lower()}s"


def manifest(job: Job, minute: float) -> Manifest:
    spec = {
        "model": {"uri": "pvc://data/model"},
        "dataset": {"uri": f"pvc://data/{job.name}.jsonl"},
        "output": {"uri": "pvc://runs"},
        "nodes": job.nodes,
        "resources": {"limits": {"nvidia.com/gpu": 1 if job.fails else 8}},
        "template": {"annotations": played(job, minute)},
        **({"training": OSFT} if job.kind == "OSFTJob" else {}),
        **({"queueName": QUEUED} if job.namespace == QUEUED else {}),
        **({"runPolicy": {"backoffLimit": 1}} if job.fails else {}),
        **job.spec,
    }
    metadata = {"name": job.name, "namespace": job.namespace, "labels": job.labels}
    present = {key: value for key, value in spec.items() if value is not None}
    return {"apiVersion": API_VERSION, "kind": job.kind, "metadata": metadata, "spec": present}


def played(job: Job, minute: float) -> dict[str, str]:
    """What the player is told."""
    failing = {player.FAILS: job.fails.value} if job.fails else {}
    return {player.SECONDS_OF_ITS_OWN: str(job.minutes * minute), **failing}


def prepare(plane: ControlPlane) -> None:
    """Namespaces, claims, Kueue's queue and the players."""
    for namespace in PLAYERS:
        plane.kubectl("create", "namespace", namespace)
        plane.apply([make(namespace, claim) for claim in volumes.CLAIMS for make in (volumes.volume, volumes.volume_claim)])
    plane.apply(list(queues()))
    for namespace, name in PLAYERS.items():
        command = (sys.executable, "-m", "e2e.cluster.player", f"--kubeconfig={plane.kubeconfig}", f"--namespace={namespace}")
        processes.start(plane.folder, name, *command)


def queues() -> Iterator[Manifest]:
    """The example's, for more GPUs."""
    for document in yaml.safe_load_all(QUEUES.read_text()):
        if document["kind"] == "ClusterQueue":
            (group,) = document["spec"]["resourceGroups"]
            group["flavors"][0]["resources"][0]["nominalQuota"] = QUEUED_GPUS
        yield document


def play(plane: ControlPlane, ports: dict[str, int], minutes: float) -> None:
    """From the first job's creation until the last minute is over, in so many minutes of the clock."""
    cluster = Cluster(plane, KubernetesApi(connect(str(plane.kubeconfig))), ports, 60 * minutes / LENGTH)
    begin = time.monotonic()
    for at, do in happens():
        time.sleep(max(0.0, begin + at * cluster.minute - time.monotonic()))
        do(cluster)
