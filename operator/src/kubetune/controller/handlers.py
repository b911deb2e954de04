"""kopf's part: it watches, and says which job may have changed. Decorators and glue, no decisions.

Only `on.event`, which is level-triggered: at the start every object is seen once. kopf then writes nothing to any object: no
annotations, no finalizers that would block a deletion while the operator is down. Retries and waits are the work queue's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import kopf

from kubetune.api.base import GROUP, VERSION
from kubetune.cluster import JOB_KIND, JOB_NAME, MANAGED_BY
from kubetune.controller.operate import Operator, OperatorSettings, connect_cluster, settings_from_environment
from kubetune.controller.workqueue import Key

OURS = {MANAGED_BY: "kubetune"}
PREFIX = f"kopf.{GROUP}"


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Connects before the first event arrives."""
    configure(settings)
    own = memo.get("settings") or settings_from_environment()
    memo.operator = Operator(connect_cluster(own.workers), own)
    memo.task = asyncio.create_task(memo.operator.run())


@kopf.on.cleanup()
async def stop(memo: Any, **_: Any) -> None:
    """Whatever was under way is idempotent: the next start takes it up."""
    task = memo.get("task")
    if task:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@kopf.on.event(GROUP, VERSION, "sftjobs")
@kopf.on.event(GROUP, VERSION, "osftjobs")
async def job_event(body: Mapping[str, Any], memo: Any, **_: Any) -> None:
    """A spec that changed, a deletion, or the first sight; the trainer's reports and our own status writes are no news."""
    metadata = body["metadata"]
    seen = (metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"))
    if memo.get("seen") != seen:
        memo.seen = seen
        memo.operator.queue.add(Key(body["kind"], metadata["namespace"], metadata["name"]))


@kopf.on.event("kubeflow.org", "v1", "pytorchjobs", labels=OURS)
@kopf.on.event("v1", "pods", labels=OURS)
async def child_event(labels: Mapping[str, str], namespace: str | None, memo: Any, **_: Any) -> None:
    """Whatever happens to a child is the owner's affair."""
    kind, name = labels.get(JOB_KIND), labels.get(JOB_NAME)
    if kind and name and namespace:
        memo.operator.queue.add(Key(kind, namespace, name))


def configure(settings: kopf.OperatorSettings) -> None:
    """The storages are never written to; were a handler ever added that does, its marks would bear our own name."""
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX, v1=False)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=PREFIX, v1=False)
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # that an event was seen is no news
    settings.posting.enabled = False  # events are written by reconcile, once each
    settings.watching.server_timeout = 600
    settings.watching.label_selectors["kubeflow.org", "v1", "pytorchjobs"] = f"{MANAGED_BY}=kubetune"
    settings.watching.label_selectors["v1", "pods"] = f"{MANAGED_BY}=kubetune"
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.peering.standalone = True  # one replica; kopf has no leader election


def run_operator(settings: OperatorSettings, *, liveness: str | None = None) -> None:
    """Runs until SIGTERM or SIGINT. `liveness`: where to answer probes, for instance http://0.0.0.0:8080/healthz."""
    namespaces: Sequence[str] = settings.namespaces
    kopf.run(
        clusterwide=not namespaces,
        namespaces=list(namespaces),
        standalone=True,
        liveness_endpoint=liveness,
        memo=kopf.Memo(settings=settings),
    )
