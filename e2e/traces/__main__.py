"""python -m e2e.traces [--seconds S] [--write FILE]: traces of real jobs, received and shown (docs/observability.md)"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from e2e import marked
from e2e.cluster import player
from e2e.cluster.control_plane import ControlPlane
from e2e.dashboard import burst, stage
from e2e.dashboard.questions import ROOT
from e2e.traces.receiver import Receiver, receiver
from e2e.traces.tree import tree
from kubetune.api.base import GROUP, VERSION
from kubetune.controller.kubernetes_api import KubernetesApi, Request, connect

BEGIN, END = "<!-- traces: begin -->", "<!-- traces: end -->"
NAMESPACE, PLAIN, KILLED = player.NAMESPACE, "teach-plain", "teach-killed"
LIMIT_SECONDS = 180.0
QUEUE = "research"  # in examples/kueue
T = TypeVar("T")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.traces", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long a training lasts (20)")
    parser.add_argument("--write", type=Path, help="a Markdown file with a place for the trees")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    with (
        tempfile.TemporaryDirectory(prefix="kubetune-traces-") as name,
        receiver() as received,
        stage.cluster(Path(name) / "cluster", nodes=2, with_kueue=True) as plane,
    ):
        text = run(plane, received, given.seconds)
    print(text)
    if given.write:
        marked.write(given.write, (BEGIN, END), text)
    return 0


def run(plane: ControlPlane, received: Receiver, seconds: float) -> str:
    """One job that nothing happens to; one that waits in the queue for its GPUs, and whose master is killed after it has saved."""
    burst.prepare(plane, seconds)
    plane.kubectl("apply", "-f", "-", stdin=(ROOT / "examples/kueue/queues.yaml").read_text().replace(QUEUE, NAMESPACE))
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.endpoint, "OTEL_BSP_SCHEDULE_DELAY": "500"}
    stage.start_operator(plane, stage.REPLICAS[0], environment=endpoint)
    api = KubernetesApi(connect(str(plane.kubeconfig)))
    uids = {PLAIN: create(api, PLAIN)}
    wait(lambda: status(api, PLAIN).get("phase") == "Running", "the first job runs")
    uids[KILLED] = create(api, KILLED)
    wait(lambda: (status(api, KILLED).get("progress") or {}).get("step", 0) >= player.STEPS // 2 + 2, "the second job has saved")
    killed = {"metadata": {"annotations": {"test/exit-code": "137"}}}
    api.json(Request("PATCH", f"/api/v1/namespaces/{NAMESPACE}/pods/{KILLED}-sft-1-master-0", body=killed, content=player.MERGE))
    for name, uid in uids.items():
        root = wait(partial(root_of, received, uid), f"{name} has a whole trace")
        if root.attributes["kubetune.phase"] != "Succeeded":
            raise RuntimeError(f"{name}: {root.message}")
    trees = (tree([each for each in received.spans if each.trace == trace_of(uid)]) for uid in uids.values())
    return f"{datetime.now(UTC):%Y-%m-%d}, trainings of {seconds:.0f} s.\n\n```text\n" + "\n\n".join(trees) + "\n```"


def create(api: KubernetesApi, name: str) -> str:
    """Two nodes that together take all GPUs of the queue."""
    document = burst.trained(name, "SFTJob")
    del document["spec"]["device"]
    document["spec"] |= {"nodes": 2, "queueName": NAMESPACE, "resources": {"limits": {"nvidia.com/gpu": 4}}}
    made = api.json(Request("POST", f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/sftjobs", body=document))
    return str(made["metadata"]["uid"])


def status(api: KubernetesApi, name: str) -> dict[str, Any]:
    found = api.json(Request("GET", f"/apis/{GROUP}/{VERSION}/namespaces/{NAMESPACE}/sftjobs/{name}"))
    return dict(found.get("status") or {})


def trace_of(uid: str) -> str:
    return uid.replace("-", "")


def root_of(received: Receiver, uid: str) -> Any:
    return next((each for each in received.spans if each.trace == trace_of(uid) and not each.parent), None)


def wait(look: Callable[[], T], what: str) -> T:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen in {LIMIT_SECONDS:.0f} s: {what}")
        time.sleep(0.5)
    return seen


if __name__ == "__main__":
    sys.exit(main())
