"""kopf's part: it watches, and says which job may have changed. Decorators and glue, no decisions.

Only `on.event`, which is level-triggered: at the start every object is seen once. kopf then writes nothing to any object: no
annotations, no finalizers that would block a deletion while the operator is down. Retries and waits are the work queue's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping
from typing import Any

import kopf

from kubetune.api.base import GROUP, VERSION
from kubetune.cluster import HELD, JOB_KIND, JOB_NAME, MANAGED_BY, RELEASED
from kubetune.controller.assemble import assemble, serve
from kubetune.controller.kubernetes_cluster import PAGE, PLURALS
from kubetune.controller.operator_settings import settings_from_environment
from kubetune.controller.workqueue import Key

OURS = {MANAGED_BY: "kubetune"}
PREFIX = f"kopf.{GROUP}"


logger = logging.getLogger(__name__)

DRAIN_SECONDS = 2.5
RELEASE_SECONDS = 1.0
TRACES_SECONDS = 1.0
FIRST_LOOK_SECONDS = 15.0


class Shared(kopf.Memo):
    """kopf copies the memo for every object; nothing of ours is an object's own."""

    def __copy__(self) -> Shared:
        return self


class NoDiffs(kopf.DiffBaseStorage):
    """Handlers of events compare nothing, and kopf's default copies every object twice to find out what changed."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002 - kopf names them
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is ever written to an object."""


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Connects before the first event arrives."""
    own = memo.get("settings") or settings_from_environment()
    configure(settings, own.selector)
    memo.operator, memo.elector = assemble(own)
    memo.operator.watched = memo.insights.ready_resources.is_set
    try:
        memo.server = serve(memo.operator, own)
    except OSError as error:
        raise kopf.PermanentError(str(error)) from error
    memo.task = asyncio.create_task(memo.operator.run())
    memo.task.add_done_callback(give_up)
    await memo.operator.first_look(FIRST_LOOK_SECONDS)  # kopf's first list of thousands keeps the loop busy for half a minute


def give_up(task: asyncio.Task[None]) -> None:
    """An operator that watches but does nothing must not live on."""
    if not task.cancelled() and task.exception():
        logger.critical("the operator failed and ends", exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)


@kopf.on.cleanup()
async def stop(memo: Any, **_: Any) -> None:
    """Whatever was under way ends or is left: it is idempotent, and the next leader takes it up.

    The Lease is given up only when nothing of ours can write any more; else it ends by itself.
    """
    if "ending" in memo:
        memo.ending.start()
    task = memo.get("task")
    if not task:
        return
    memo.drained = await memo.operator.drain(DRAIN_SECONDS)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # what it raised is logged already
    if memo.elector and memo.drained:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(memo.elector.release(), RELEASE_SECONDS)
    if memo.server:
        await asyncio.to_thread(memo.server.close)
    if memo.operator.traces:
        await asyncio.to_thread(memo.operator.traces.close, TRACES_SECONDS)


@kopf.on.event(GROUP, VERSION, "sftjobs")
@kopf.on.event(GROUP, VERSION, "osftjobs")
async def job_event(body: Mapping[str, Any], memo: Any, event: Mapping[str, Any], **_: Any) -> None:
    """A spec that changed, a deletion, or the first sight; the trainer's reports and our own status writes are no news."""
    metadata = body["metadata"]
    if memo.operator.told(body["kind"], body, event["type"]):
        memo.operator.notice(Key(body["kind"], metadata["namespace"], metadata["name"]))


@kopf.on.event("kubeflow.org", "v1", "pytorchjobs", labels=OURS)
async def child_event(
    labels: Mapping[str, str], namespace: str | None, memo: Any, event: Mapping[str, Any], body: Mapping[str, Any], **_: Any
) -> None:
    """Whatever happens to a child is the owner's affair.

    Pods are not watched: the training operator says in the PyTorchJob's status that one runs, ended or is being deleted, and what
    no status tells (an image that cannot be pulled) is looked up in time, see `policies.live.supervise`.
    """
    kind, name = labels.get(JOB_KIND), labels.get(JOB_NAME)
    if not (kind and name and namespace):
        return
    key, gone = Key(kind, namespace, name), event["type"] == "DELETED"
    memo.operator.child_told(key, body, event["type"])
    if gone or newsworthy(body):
        memo.operator.child_moved(key, runs=not gone and only_runs(body))


def newsworthy(child: Mapping[str, Any]) -> bool:
    """Whether a PyTorchJob is any further than we brought it: that it exists and was taken note of is known."""
    conditions = (child.get("status") or {}).get("conditions") or []
    suspended = (child.get("spec", {}).get("runPolicy") or {}).get("suspend")
    released = (child["metadata"].get("annotations") or {}).get(HELD) == RELEASED
    known = {"Created", "Suspended"} if released else {"Created"}
    return bool(suspended or "deletionTimestamp" in child["metadata"] or any(c["type"] not in known for c in conditions))


def only_runs(child: Mapping[str, Any]) -> bool:
    """Whether its pods run is all that a PyTorchJob tells."""
    conditions = (child.get("status") or {}).get("conditions") or []
    told = {c["type"] for c in conditions if c["type"] != "Created"}
    return told == {"Running"} and "deletionTimestamp" not in child["metadata"]


def configure(settings: kopf.OperatorSettings, selector: str = "") -> None:
    """`selector`: of the jobs to watch.

    The storage is never written to; were a handler ever added that does, its marks would bear our own name.
    """
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=PREFIX, v1=False)
    settings.persistence.diffbase_storage = NoDiffs()
    settings.persistence.finalizer = f"{GROUP}/finalizer"
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # that an event was seen is no news
    settings.posting.enabled = False  # events are written by reconcile, once each
    settings.queueing.idle_timeout = 0.1  # as long is an object kept in memory after its event
    settings.watching.chunk_size = PAGE
    settings.watching.server_timeout = 600
    settings.watching.label_selectors["kubeflow.org", "v1", "pytorchjobs"] = f"{MANAGED_BY}=kubetune"
    if selector:
        for plural in PLURALS.values():
            settings.watching.label_selectors[GROUP, VERSION, plural] = selector
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 10
    settings.peering.standalone = True  # kopf's peering is no leader election: see leader.py
