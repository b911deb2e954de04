"""Watches etcd itself: every write, each once, in one order for all kinds, whatever happens to the API server meanwhile."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from e2e.chaos.history import LEASE, POD, Action, History, Record, trimmed

SYSTEM = "kubetune-system"
"""Where the operator's Lease lies."""

PREFIXES = (
    "/registry/kubetune.dev/",
    "/registry/kubeflow.org/pytorchjobs/",
    "/registry/pods/",
    "/registry/events/",
    f"/registry/leases/{SYSTEM}/",
)
LINE_BYTES = 64 * 2**20
JSON_STORAGE = "--storage-media-type=application/json"
"""The API server's flag without which etcd holds pods and events as protobuf."""


class Recorder:
    """Keeps the history, and what exists now; tells `listeners` of every record."""

    def __init__(self, etcd: str, namespace: str) -> None:
        self._etcd, self._namespace = etcd, namespace
        self._began = time.monotonic()
        self.records: list[Record] = []
        self.actions: list[Action] = []
        self.now_there: dict[str, Record] = {}  # by UID
        self.listeners: list[Callable[[Record], None]] = []
        self.last = 0.0  # when anything was written
        self._begun = 0
        self.ready = asyncio.Event()

    @property
    def clock(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def did(self, what: str, target: str = "") -> None:
        self.actions.append(Action(round(self.clock, 3), what, target))

    def live_pods(self) -> list[Record]:
        return [r for r in self.now_there.values() if r.kind == POD and r.live and not r.deleting]

    def history(self, calm: float, facts: dict[str, Any]) -> History:
        return History(tuple(sorted(self.records, key=lambda r: r.revision)), tuple(self.actions), calm, facts)

    async def run(self) -> None:
        """Until cancelled, or until a watch ends: a history with a gap is none."""
        async with aiohttp.ClientSession(read_bufsize=LINE_BYTES) as session, asyncio.TaskGroup() as group:
            for prefix in PREFIXES:
                group.create_task(self._follow(session, prefix))

    async def _follow(self, session: aiohttp.ClientSession, prefix: str) -> None:
        async for answer in watch(session, self._etcd, prefix):
            self._begun += bool(answer.get("created"))
            if self._begun == len(PREFIXES):
                self.ready.set()
            for event in answer.get("events", []):
                self._keep(event)
        raise RuntimeError(f"the watch of {prefix} ended: the history would have a gap")

    def _keep(self, event: dict[str, Any]) -> None:
        deleted = event.get("type") == "DELETE"
        text = event.get("prev_kv", {}).get("value", "") if deleted else event["kv"]["value"]
        stored = json.loads(base64.b64decode(text)) if text else {}
        if (stored.get("metadata") or {}).get("namespace") not in (self._namespace, SYSTEM) or (small := trimmed(stored)) is None:
            return
        record = Record(int(event["kv"]["mod_revision"]), round(self.clock, 3), small, deleted)
        self.records.append(record)
        if record.kind != LEASE:  # which is renewed for ever
            self.last = self.clock
        self.now_there[record.uid] = record
        if deleted:
            del self.now_there[record.uid]
        for listener in self.listeners:
            listener(record)


async def watch(session: aiohttp.ClientSession, etcd: str, prefix: str) -> AsyncIterator[dict[str, Any]]:
    """Etcd's own JSON gateway: one answer a line. Raises RuntimeError if revisions were compacted away."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    wanted = {"key": encoded(prefix), "range_end": encoded(end), "prev_kv": True}
    timeout = aiohttp.ClientTimeout(total=None)
    async with session.post(f"{etcd}/v3/watch", json={"create_request": wanted}, timeout=timeout) as response:
        async for line in response.content:
            answer = json.loads(line).get("result", {})
            if answer.get("canceled"):
                raise RuntimeError(f"etcd cancelled the watch of {prefix}: {answer}")
            yield answer


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
