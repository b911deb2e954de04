"""Jobs that were created while this operator led: nobody can have made anything for them, so their first look need read nothing.

A burst of jobs costs the API server most of what kubetune asks of it in reads, and the first look's are answered "not found".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from kubetune.cluster import Manifest
from kubetune.controller.pods import timestamp
from kubetune.controller.workqueue import Key

MARGIN = timedelta(seconds=5)
"""Between this machine's clock and the API server's, whose creationTimestamp it is."""


class Newcomers:
    """What the watch has told of each, until it is looked at. Any other word of it, and it is looked at as all the others are."""

    def __init__(self) -> None:
        self._bodies: dict[Key, Manifest] = {}
        self._since: datetime | None = None

    def lead(self, since: datetime | None) -> None:
        """From when on this operator leads; None: it does not."""
        self._since = since
        self._bodies.clear()

    def told(self, key: Key, body: Mapping[str, Any], change: str | None) -> None:
        """`change` as the watch says it: of what a list returns (None) nobody knows for how long it has been there."""
        self._bodies.pop(key, None)
        created, status = timestamp(body["metadata"].get("creationTimestamp")), body.get("status") or {}
        untouched = not (status.get("conditions") or status.get("attempts"))  # the phase is the CRD's default
        if change == "ADDED" and self._since and created and created > self._since + MARGIN and untouched:
            self._bodies[key] = dict(body)

    def take(self, key: Key) -> Manifest | None:
        """Once."""
        return self._bodies.pop(key, None)
