"""PyTorchJobs whose job is gone though another one bears its name: the garbage collector may not come for them.

Seen (docs/chaos.md): a job was deleted and made again while the collector's watch was cut; it took the one for the other, and the
first one's PyTorchJob trained on. Where the new job needs its very name, `policies.start.occupied` removes it; the others are
found here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubetune.api.identity import child_name
from kubetune.cluster import JOB_UID, Cluster, Manifest
from kubetune.controller.child import child_state, forgotten
from kubetune.controller.known_jobs import KnownJobs, Seen
from kubetune.controller.workqueue import Key

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a PyTorchJob is that may be a stray."""

    namespace: str
    name: str


class Strays:
    """Those that the watches made suspicious. It says of each what is done about it, and the cluster whether that is so."""

    def __init__(self) -> None:
        self._suspects: dict[Place, Key] = {}

    def job_gone(self, job: Seen) -> None:
        """Its last PyTorchJob goes with it, as a rule: the watch will tell."""
        if job.attempt:
            self._suspects[Place(job.key.namespace, child_name(job.key.kind, job.key.name, job.attempt))] = job.key

    def child_told(self, key: Key, child: Mapping[str, Any], change: str | None, uid: str | None) -> None:
        """`uid`: of the job that is known as `key`; None where none is, and nothing follows from that."""
        metadata = child["metadata"]
        place = Place(metadata["namespace"], metadata["name"])
        if change == "DELETED" or metadata.get("labels", {}).get(JOB_UID) == uid:
            self._suspects.pop(place, None)
        elif uid is not None:
            self._suspects[place] = key

    async def remove(self, cluster: Cluster, jobs: KnownJobs, now: datetime, seconds: float) -> None:
        """Looks at each, and removes what is forgotten for certain. Raises ClusterError, perhaps after some."""
        for place, key in list(self._suspects.items()):
            manifest = await cluster.pytorchjob(place.namespace, place.name)
            if manifest is None:
                self._suspects.pop(place, None)
            elif stray(manifest, jobs.uid(key), jobs.of(key), now, seconds):
                logger.warning("PyTorchJob %s/%s is removed: its job is gone, and was not collected", place.namespace, place.name)
                await cluster.delete_pytorchjob(place.namespace, place.name, manifest["metadata"]["uid"])


def stray(manifest: Manifest, uid: str | None, job: Seen | None, now: datetime, seconds: float) -> bool:
    """Whether that PyTorchJob is a former job's, whose name `job`, with that UID, has now. If none has: the collector comes."""
    if uid is None or job is None or job.created is None:
        return False
    return forgotten(child_state(manifest, uid), job.created, now, seconds)
