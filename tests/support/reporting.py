"""A namespace of a real cluster, its jobs and pods, and tokens as the kubelet would mount them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client
from waiting import until

from e2e.cluster.tokens import OPERATOR, account_kubeconfig, mounted, token
from kubetune.cluster import ClusterError
from kubetune.controller.kubernetes_api import APPLY, KubernetesApi, Request, connect
from kubetune.controller.kubernetes_cluster import KubernetesCluster, jobs_path
from kubetune_trainer.api_report import ApiReporter, InCluster, ReportError, apply_path
from kubetune_trainer.contract import Checkpoint, JobIdentity, Progress, Report

Manifest = dict[str, Any]

DEADLINE = 180.0
"""Seconds, longer than anything here takes on a busy machine."""

REPORTER = "kubetune-trainer"


@dataclass(frozen=True)
class Lab:
    """One namespace, seen by the administrator."""

    kubeconfig: Path
    namespace: str
    folder: Path

    @property
    def api(self) -> KubernetesApi:
        return KubernetesApi(connect(str(self.kubeconfig)))

    def open(self) -> None:
        self.api.json(Request("POST", "/api/v1/namespaces", body={"metadata": {"name": self.namespace}}))
        operator = KubernetesCluster(KubernetesApi(connect(str(self.account_kubeconfig(*OPERATOR)))))
        asyncio.run(operator.ensure_reporter(self.namespace))
        self._wait_for_the_policy()

    def close(self) -> None:
        self.api.json(Request("DELETE", f"/api/v1/namespaces/{self.namespace}"))

    def _wait_for_the_policy(self) -> None:
        """It is enforced some time after it was made, and the binding is known to the authoriser some time after, too."""
        job = self.job("probe")
        token = self.token(REPORTER)

        def enforced() -> bool:
            try:
                self.reach(token).apply(apply_path(job) + "&dryRun=All", body(job, progress={"step": 1}))
            except ReportError as error:
                return "only its own master may" in str(error)
            return False

        until(enforced, "the policy is enforced")

    # objects

    def job(self, name: str, kind: str = "SFTJob", *, attempts: int = 1, pods: Manifest | None = None) -> JobIdentity:
        """A job with the operator's part of the status, so many attempts recorded; 0: nothing of it yet."""
        spec: Manifest = {"model": {"uri": "/m"}, "dataset": {"uri": "/d.jsonl"}, "output": {"uri": "/o"}, "device": "cpu"}
        spec["runPolicy"] = {"backoffLimit": 2}
        if kind == "OSFTJob":
            size = {"effectiveBatchSize": 8, "maxTokensPerGpu": 256, "maxSeqLen": 128}
            spec["training"] = {"unfreezeRankRatio": 0.3, "learningRate": 1e-4, **size}
        if pods:
            spec["template"] = {"annotations": pods}
        document = {"apiVersion": "kubetune.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        made = self.api.json(Request("POST", jobs_path(kind, self.namespace), body=document))
        job = JobIdentity(kind=kind, namespace=self.namespace, name=name, uid=made["metadata"]["uid"], spec_hash="a" * 64)
        if attempts:
            self.operators_part(job, attempts)
        return job

    def operators_part(self, job: JobIdentity, attempts: int) -> None:
        """As the operator writes it."""
        now = "2026-01-01T12:00:00Z"
        alg = job.kind.removesuffix("Job").lower()
        listed = [{"number": n + 1, "pyTorchJob": f"{job.name}-{alg}-{n + 1}", "started": now} for n in range(attempts)]
        running = {"type": "Running", "status": "True", "reason": "Running", "message": "", "lastTransitionTime": now}
        status = {"phase": "Running", "restarts": attempts - 1, "attempts": listed, "conditions": [running]}
        path = f"{jobs_path(job.kind, self.namespace)}/{job.name}/status"
        query = {"fieldManager": "kubetune", "force": "true"}
        self.api.json(Request("PATCH", path, query, body(job, **status), APPLY))

    def get(self, job: JobIdentity) -> Manifest:
        return self.api.json(Request("GET", f"{jobs_path(job.kind, job.namespace)}/{job.name}"))

    def status(self, job: JobIdentity) -> Manifest:
        return dict(self.get(job).get("status") or {})

    def pod(self, name: str, account: str = REPORTER) -> Manifest:
        """A pod of that name that no node takes: what counts is who it is."""
        spec = {
            "serviceAccountName": account,
            "containers": [{"name": "pytorch", "image": "i"}],
            "schedulingGates": [{"name": "kubetune.dev/never"}],
        }
        return self.api.json(
            Request("POST", f"/api/v1/namespaces/{self.namespace}/pods", body={"metadata": {"name": name}, "spec": spec})
        )

    # tokens

    def token(self, account: str, pod: Manifest | None = None, namespace: str | None = None) -> str:
        """As the kubelet asks for it: bound to the pod; without one, not bound to anything."""
        return token(self.api, namespace or self.namespace, account, pod)

    def masters_token(self, name: str) -> str:
        """Of a new pod of that name."""
        return self.token(REPORTER, self.pod(name))

    def reach(self, token: str) -> InCluster:
        """The trainer's own client, with the files that the kubelet would mount."""
        return mounted(self.kubeconfig, token, self.folder)

    def as_account(self, token: str) -> KubernetesApi:
        """Any request, with that token alone."""
        known = connect(str(self.kubeconfig)).configuration
        configuration = client.Configuration(host=known.host)
        configuration.ssl_ca_cert, configuration.retries = known.ssl_ca_cert, False
        configuration.api_key, configuration.api_key_prefix = {"authorization": token}, {"authorization": "Bearer"}
        return KubernetesApi(client.ApiClient(configuration))

    def account_kubeconfig(self, namespace: str, account: str) -> Path:
        """A kubeconfig of that ServiceAccount."""
        return account_kubeconfig(self.kubeconfig, namespace, account, self.folder)


def body(job: JobIdentity, **status: Any) -> Manifest:
    """A status to apply, with nothing in it but what is given."""
    metadata = {"name": job.name, "namespace": job.namespace}
    return {"apiVersion": "kubetune.dev/v1alpha1", "kind": job.kind, "metadata": metadata, "status": status}


def checkpoint(job: JobIdentity, step: int, attempt: int = 1, kind: str = "full-state") -> Checkpoint:
    """Below the job's own directory, as the trainer names it."""
    uri = f"/o/{job.namespace}-{job.name}-{job.uid[:8]}/attempt-{attempt}/{kind}-{step}"
    return Checkpoint(uri=uri, step=step, bytes=1000, kind=kind, verified=True)  # type: ignore[arg-type] # a test's text


def report(step: int, *checkpoints: Checkpoint, attempt: int = 1) -> Report:
    return Report(attempt=attempt, progress=Progress(step=step, total_steps=10, loss=0.5), checkpoints=checkpoints)


def say(lab: Lab, job: JobIdentity, token: str, last: Report, earlier: tuple[Checkpoint, ...] = ()) -> None:
    """The trainer's own reporter, from its first word to its last."""
    reporter = ApiReporter(job, lab.reach(token).apply, earlier)
    reporter(last)
    reporter.close(DEADLINE)


__all__ = ["OPERATOR", "REPORTER", "ClusterError", "Lab", "Request", "body", "checkpoint", "report", "say", "until"]
