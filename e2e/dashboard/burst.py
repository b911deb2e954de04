"""Jobs of every fate: some that a player trains, some that fail once or for good. What they leave is what the dashboard shows."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from e2e.bench.workloads import job
from e2e.cluster import player, processes, volumes
from e2e.cluster.control_plane import ControlPlane
from kubetune.api.base import API_VERSION, GROUP, VERSION
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect
from kubetune_trainer.contract import FailureClass, Outcome

TRAINED, UNTRAINED = player.NAMESPACE, "unplayed"
"""The player trains what is in the first; in the second pods end as their annotations say."""

OSFT = {"unfreezeRankRatio": 0.3, "effectiveBatchSize": 8, "maxTokensPerGpu": 512, "maxSeqLen": 256, "learningRate": 1e-5}


def prepare(plane: ControlPlane, seconds: float) -> None:
    """The namespaces, the claims that jobs name, and the player; a training lasts `seconds`."""
    plane.kubectl("create", "namespace", UNTRAINED)
    plane.apply([make(TRAINED, claim) for claim in volumes.CLAIMS for make in (volumes.volume, volumes.volume_claim)])
    command = (sys.executable, "-m", "e2e.cluster.player", f"--kubeconfig={plane.kubeconfig}", f"--seconds={seconds}")
    processes.start(plane.folder, player.NAME, *command)


def manifests(count: int) -> Iterator[dict[str, Any]]:
    """`count` that are trained, one that waits for the first of them, and a third as many whose attempts end with a failure until
    backoffLimit is reached.
    """
    for number in range(count):
        yield trained(f"job-{number}", "OSFTJob" if number % 3 == 0 else "SFTJob")
    following = trained("following", "OSFTJob")
    following["spec"]["resumeFrom"] = {"jobRef": {"name": "job-0"}}
    del following["spec"]["model"]
    yield following
    for number in range(max(1, count // 3)):
        yield failing(f"unlucky-{number}", FailureClass.USER_ERROR if number % 2 else FailureClass.CUDA_OOM)


def trained(name: str, kind: str) -> dict[str, Any]:
    spec = {
        "model": {"uri": "pvc://data/model"},
        "dataset": {"uri": "pvc://data/train.jsonl"},
        "output": {"uri": "pvc://runs"},
        "device": "cpu",
        **({"training": OSFT} if kind == "OSFTJob" else {}),
    }
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name, "namespace": TRAINED}, "spec": spec}


def failing(name: str, failure: FailureClass) -> dict[str, Any]:
    """Its pods end with that failure; where it is retried, one retry is allowed."""
    document = job(UNTRAINED, name, "1s")
    outcome = Outcome(reached_end=False, attempt=1, step=3, total_steps=10, failure=failure, message="made up", exit_code=1)
    document["spec"]["template"]["annotations"] |= {"test/exit-code": "1", "test/outcome": outcome.to_message()}
    document["spec"] |= {"nodes": 1, "runPolicy": {"backoffLimit": 1}}
    return document


def run(kubeconfig: Path, count: int, limit: float) -> Counter[str]:
    """Creates them all at once and waits until all are over; the jobs by phase. Raises TimeoutError."""
    api, wanted = KubernetesApi(connect(str(kubeconfig))), list(manifests(count))
    for each in wanted:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{each['metadata']['namespace']}/{each['kind'].lower()}s"
        api.json(Request("POST", path, body=each))
    deadline = time.monotonic() + limit
    while (phases := by_phase(api))["Succeeded"] + phases["Failed"] < len(wanted):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all jobs are over after {limit:.0f} s: {dict(phases)}")
        time.sleep(1)
    return phases


def by_phase(api: KubernetesApi) -> Counter[str]:
    jobs = [each for plural in ("sftjobs", "osftjobs") for each in api.items(f"/apis/{GROUP}/{VERSION}/{plural}", query={})]
    return Counter(str((each.get("status") or {}).get("phase")) for each in jobs)
