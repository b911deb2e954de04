"""A namespace of a real cluster as its users see it: jobs, children, pods, events; and the parts of the kubelet and the trainer."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from case import SMALLEST, edited
from kubernetes import client
from waiting import until

from e2e.cluster.volumes import CLAIMS, volume, volume_claim
from kubetune.api import GROUP, VERSION
from kubetune.cluster import ATTEMPT, JOB_UID
from kubetune.controller.kubernetes_api import APPLY, KubernetesApi, Request, connect
from kubetune.controller.kubernetes_cluster import PLURALS, PYTORCHJOBS

TRAINER = "kubetune-trainer"
"""Another field manager than the operator's."""

FOR_EVER = {"test/run-seconds": "24h"}
"""Annotation for kwok's pods: they run until the test ends them."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test's own."""

    name: str
    kubeconfig: Path
    program: Path  # kubectl

    @property
    def api(self) -> KubernetesApi:
        return KubernetesApi(connect(str(self.kubeconfig)))

    def create_ready(self) -> None:
        """With the ServiceAccount and the claims that the pods of its jobs need."""
        api = core(self)
        api.create_namespace({"metadata": {"name": self.name}})
        until(lambda: api.list_namespaced_service_account(self.name).items, f"the ServiceAccount of {self.name}")
        for claim in CLAIMS:
            api.create_persistent_volume(volume(self.name, claim))
            api.create_namespaced_persistent_volume_claim(self.name, volume_claim(self.name, claim))
        # A pod that comes before the volume controller has bound its claims is unschedulable for a moment, which would be said.
        claims = partial(api.list_namespaced_persistent_volume_claim, self.name)
        until(lambda: all(claim.status.phase == "Bound" for claim in claims().items), f"the claims of {self.name} are bound")

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(self.program), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.name}", *arguments]
        done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False, timeout=180)
        assert not (check and done.returncode), f"{' '.join(arguments)}: {done.stderr}"
        return done

    def create(self, name: str = "teach", kind: str = "SFTJob", edit: Manifest | None = None, pods: Manifest | None = None) -> Job:
        """A job on fake nodes whose pods carry the annotations `pods`; by default they run until they are ended."""
        annotations = {"spec.template": {"annotations": FOR_EVER if pods is None else pods}}
        document = edited(SMALLEST[kind], {"metadata.name": name, "metadata.namespace": self.name, **annotations, **(edit or {})})
        self.api.json(Request("POST", self.jobs(kind), body=document))
        return Job(self, kind, name)

    def jobs(self, kind: str) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.name}/{PLURALS[kind]}"

    def children(self) -> list[Manifest]:
        """Every PyTorchJob, oldest attempt first."""
        items = self.api.items(PYTORCHJOBS.format(self.name), query={})
        return sorted(items, key=lambda c: int(c["metadata"].get("labels", {}).get(ATTEMPT, 0)))

    def all_pods(self) -> list[Manifest]:
        return self.api.items(f"/api/v1/namespaces/{self.name}/pods", query={})

    def delete(self, path: str) -> None:
        self.api.json(Request("DELETE", path, query={"propagationPolicy": "Background"}))

    def delete_child(self, name: str) -> None:
        self.delete(f"{PYTORCHJOBS.format(self.name)}/{name}")


@dataclass(frozen=True)
class Job:
    """One job in that namespace."""

    namespace: Namespace
    kind: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.namespace.jobs(self.kind)}/{self.name}"

    def get(self) -> Manifest:
        return self.namespace.api.json(Request("GET", self.path))

    @property
    def exists(self) -> bool:
        name = f"metadata.name={self.name}"
        return bool(self.namespace.api.items(self.namespace.jobs(self.kind), query={"fieldSelector": name}))

    @property
    def status(self) -> Manifest:
        return dict(self.get().get("status") or {})

    @property
    def phase(self) -> str | None:
        return self.status.get("phase")

    @property
    def attempts(self) -> list[Manifest]:
        return list(self.status.get("attempts") or [])

    def condition(self, kind: str) -> Manifest:
        return next((c for c in self.status.get("conditions") or [] if c["type"] == kind), {})

    def patch(self, spec: Manifest) -> None:
        """A merge patch of the spec; raises ClusterError with what the API server says against it."""
        request = Request("PATCH", self.path, body={"spec": spec}, content="application/merge-patch+json")
        self.namespace.api.json(request)

    def delete(self) -> None:
        self.namespace.delete(self.path)

    # what is seen of it

    def wait(self, *phases: str, seconds: float = 120) -> Manifest:
        """The status once the phase is one of these."""
        until(lambda: self.phase in phases, f"phase {phases} of {self.name}", seconds=seconds, evidence=self.evidence)
        return self.status

    def wait_attempt(self, number: int, seconds: float = 120) -> Manifest:
        """The running attempt of that number: recorded, and its master runs."""
        until(partial(self._attempt_runs, number), f"attempt {number} of {self.name} runs", seconds=seconds, evidence=self.evidence)
        return self.attempts[-1]

    def _attempt_runs(self, number: int) -> bool:
        attempts = self.attempts
        return bool(attempts) and attempts[-1]["number"] == number and self.phase == "Running"

    def evidence(self) -> str:
        status = json.dumps(self.status, indent=1) if self.exists else "the job is gone"
        pods = {p["metadata"]["name"]: p["status"].get("phase") for p in self.namespace.all_pods()}
        return f"{status}\npods {pods}\nevents {self.events()}"

    def events(self) -> list[tuple[str, str]]:
        """(reason, note) of the events about it, oldest first."""
        path = f"/apis/events.k8s.io/v1/namespaces/{self.namespace.name}/events"
        items = [e for e in self.namespace.api.items(path, query={}) if e["regarding"].get("name") == self.name]
        own = [e for e in items if e["regarding"].get("kind") == self.kind]
        return [(e["reason"], e["note"]) for e in sorted(own, key=lambda e: e["eventTime"])]

    def pods(self, attempt: int) -> list[Manifest]:
        """Of that attempt, master first."""
        uid = self.get()["metadata"]["uid"]
        labels = {"labelSelector": f"{JOB_UID}={uid},{ATTEMPT}={attempt}"}
        items = self.namespace.api.items(f"/api/v1/namespaces/{self.namespace.name}/pods", query=labels)
        return sorted(items, key=lambda pod: ("-master-" not in pod["metadata"]["name"], pod["metadata"]["name"]))

    # the kubelet's part

    def end(self, attempt: int, outcome: Manifest | str = "", *, code: int = 0, index: int = 0) -> None:
        """The trainer's container of that pod (0: the master) ends with that exit code and termination message."""
        pod = self.pods(attempt)[index]
        message = outcome if isinstance(outcome, str) else json.dumps(outcome)
        containers = pod["status"]["containerStatuses"]
        running = containers[0]["state"]["running"]
        done = {"exitCode": code, "reason": "Error" if code else "Completed", "message": message, "finishedAt": now(), **running}
        ended = {**containers[0], "ready": False, "started": False, "state": {"terminated": done}}
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [ended, *containers[1:]]}
        path = f"/api/v1/namespaces/{self.namespace.name}/pods/{pod['metadata']['name']}/status"
        merge = "application/merge-patch+json"
        self.namespace.api.json(Request("PATCH", path, body={"status": status}, content=merge))

    # the trainer's part

    def report(self, manager: str = TRAINER, **status: Any) -> None:
        """Server-side apply of a part of the status (progress=, checkpoints=) under a field manager of its own."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": self.namespace.name},
            "status": status,
        }
        query = {"fieldManager": manager, "force": "true"}
        self.namespace.api.json(Request("PATCH", f"{self.path}/status", query, body, APPLY))


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def checkpoint(step: int, kind: str = "full-state", *, attempt: int = 1, verified: bool = True) -> Manifest:
    """One that a trainer reports."""
    uri = f"pvc://runs/teach/attempt-{attempt}/{kind}-{step}"
    return {"uri": uri, "step": step, "bytes": 1000, "kind": kind, "verified": verified, "time": now()}


def reached_end(attempt: int = 1, step: int = 10) -> Manifest:
    """The outcome of a master that came to its end."""
    final = checkpoint(step, "hf", attempt=attempt)
    return {"reachedEnd": True, "attempt": attempt, "step": step, "totalSteps": step, "checkpoint": final, "exitCode": 0}


def failed(kind: str, message: str, attempt: int = 1, *, step: int = 0, code: int = 1) -> Manifest:
    """The outcome of a master that did not."""
    return {"reachedEnd": False, "attempt": attempt, "step": step, "class": kind, "message": message, "exitCode": code}


def core(namespace: Namespace) -> client.CoreV1Api:
    return client.CoreV1Api(connect(str(namespace.kubeconfig)))


DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/kubetune-trainer"


def deploy(kubeconfig: Path, kubectl: Path) -> None:
    """`kubectl apply -k deploy/`, and the API server knows that the policy type-checks."""
    subprocess.run([kubectl, f"--kubeconfig={kubeconfig}", "apply", "-k", DEPLOY], check=True, capture_output=True, timeout=180)
    api = KubernetesApi(connect(str(kubeconfig)))

    def checked() -> Manifest | None:
        policy = api.json(Request("GET", POLICY))
        status = policy.get("status", {})
        return status if status.get("observedGeneration") == policy["metadata"]["generation"] else None

    assert until(checked, "the policy's type check")["typeChecking"] == {}
