"""Who else writes to the cluster: the users with their jobs, the kubelets that end pods, and whoever deletes at random.

All of them talk to the API server itself, past the faults, and wait while it is down.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from e2e.chaos.history import CHILD, POD, Record
from e2e.chaos.plans import Plan, Verdict
from e2e.chaos.recorder import Recorder
from kubetune.api.base import GROUP, VERSION
from kubetune.cluster import JOB_NAME, ClusterError
from kubetune.controller.kubernetes_api import KubernetesApi, Request

MERGE = "application/merge-patch+json"
PATIENCE = 30
"""Tries of a request, up to 10 s apart: an API server comes back sooner."""


@dataclass
class Players:
    """`stop` is set when the faults stop: no more random deletions, but every plan is carried through."""

    api: KubernetesApi
    recorder: Recorder
    namespace: str
    plans: dict[str, Plan]  # by job name
    random: Random
    tasks: asyncio.TaskGroup

    def __post_init__(self) -> None:
        self._known: set[str] = set()
        self.recorder.listeners.append(self._notice)

    async def call(self, method: str, path: str, body: Any = None, content: str = "application/json", **query: str) -> bool:
        """False if what it was about does not exist (any more), or exists already."""
        request = Request(method, path, query, body, content, tries=PATIENCE)
        try:
            await asyncio.to_thread(self.api.json, request)
        except ClusterError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    # users

    async def live_through(self, plan: Plan) -> None:
        await asyncio.sleep(plan.create - self.recorder.clock)
        await self._create(plan)
        if plan.story == "suspended":
            await asyncio.sleep(plan.at)
            await self._suspend(plan, wanted=True)
            await asyncio.sleep(plan.back - plan.at)
            await self._suspend(plan, wanted=False)
        elif plan.story.startswith("deleted"):
            await asyncio.sleep(plan.at)
            await self.call("DELETE", f"{self._path(plan)}/{plan.name}", propagationPolicy="Background")
            self.recorder.did("delete job", plan.name)
            if plan.story == "deleted and made again":
                await self._create(plan)

    def _path(self, plan: Plan) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{self.namespace}/{plan.plural}"

    async def _create(self, plan: Plan) -> None:
        await self.call("POST", self._path(plan), plan.manifest(self.namespace))
        self.recorder.did("create job", plan.name)

    async def _suspend(self, plan: Plan, *, wanted: bool) -> None:
        self.recorder.did("suspend" if wanted else "resume", plan.name)
        await self.call("PATCH", f"{self._path(plan)}/{plan.name}", {"spec": {"runPolicy": {"suspend": wanted}}}, MERGE)

    # kubelets

    def _notice(self, record: Record) -> None:
        """A pod that begins to run will end as its plan says; if the plan is that of a failure, one pod of the gang fails."""
        if record.kind != POD or record.uid in self._known or record.status.get("phase") != "Running":
            return
        self._known.add(record.uid)
        plan = self.plans[record.object["metadata"]["labels"][JOB_NAME]]
        self.tasks.create_task(self._run(record, plan))

    async def _run(self, pod: Record, plan: Plan) -> None:
        verdict = plan.verdict(pod.attempt)
        fails = pod.master if plan.nodes == 1 or verdict in ("user", "silent") else self._chosen(pod, plan)
        await asyncio.sleep(plan.run * (1 if fails or pod.master else self.random.uniform(0.9, 1.2)))
        there = self.recorder.now_there.get(pod.uid)
        if there is None or not there.live or there.deleting or not (fails or verdict == "end"):
            return
        status = ended_status(there.status, verdict if fails or pod.master else "end", pod)
        if await self.call("PATCH", f"{self._pods}/{pod.name}/status", {"metadata": {"uid": pod.uid}, "status": status}, MERGE):
            self.recorder.did(f"pod ended: {verdict}", pod.name)

    def _chosen(self, pod: Record, plan: Plan) -> bool:
        """Which of the two fails differs by attempt and job."""
        return pod.master == bool((len(plan.name) + int(plan.run * 10) + pod.attempt) % 2)

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    # whoever deletes

    async def delete_a_pod(self) -> None:
        pods = self.recorder.live_pods()
        if pods:
            pod = self.random.choice(pods)
            if await self.call("DELETE", f"{self._pods}/{pod.name}", {"preconditions": {"uid": pod.uid}}):
                self.recorder.did("delete pod", pod.name)

    async def delete_a_child(self) -> None:
        children = [r for r in self.recorder.now_there.values() if r.kind == CHILD and not r.deleting]
        if children:
            child = self.random.choice(children)
            path = f"/apis/kubeflow.org/v1/namespaces/{self.namespace}/pytorchjobs/{child.name}"
            body = {"preconditions": {"uid": child.uid}, "propagationPolicy": "Background"}
            self.recorder.did("delete child", child.name)
            await self.call("DELETE", path, body)


def ended_status(status: dict[str, Any], verdict: Verdict, pod: Record) -> dict[str, Any]:
    """The pod's status once its trainer has ended with that verdict."""
    code = {"end": 0, "silent": 0, "oom": 1, "killed": 137, "user": 2}[verdict]
    first, *rest = status["containerStatuses"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = {
        "exitCode": code,
        "reason": "Error" if code else "Completed",
        "finishedAt": now,
        "startedAt": (first["state"].get("running") or {}).get("startedAt", now),
        **last_words(verdict, pod),
    }
    ended = {**first, "ready": False, "started": False, "state": {"terminated": done}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [ended, *rest]}


def last_words(verdict: Verdict, pod: Record) -> dict[str, str]:
    """The termination message: the outcome, which only the master leaves at the end."""
    outcome: dict[str, Any] = {"attempt": pod.attempt, "step": 7, "totalSteps": 10}
    if verdict == "end" and pod.master:
        saved = {"uri": f"/shared/runs/attempt-{pod.attempt}", "step": 10, "bytes": 1000, "kind": "hf", "verified": True}
        outcome |= {"reachedEnd": True, "step": 10, "checkpoint": saved}
    elif verdict in ("oom", "user"):
        named = {"oom": ("CudaOOM", "out of memory"), "user": ("UserError", "learningRate is no good")}[verdict]
        outcome |= {"reachedEnd": False, "class": named[0], "message": named[1], "exitCode": 1 if verdict == "oom" else 2}
    else:
        return {}
    return {"message": json.dumps(outcome)}
