"""First attempts of which the status does not tell yet: until something is heard of one, a glance at its master is enough.

In a burst the training operator comes to most jobs long after their PyTorchJobs were made, and a whole look tells nothing new.
"""

from __future__ import annotations

from kubetune.api.identity import child_name
from kubetune.controller.workqueue import Key

GLANCE_SECONDS = 60.0
"""For how long after the first look; later ones are whole: what keeps its pods away is then to be told."""


class Quiet:
    """Which jobs they are, and whether anything was heard of them since the last look. Times are time.monotonic's."""

    def __init__(self) -> None:
        self._since: dict[Key, float] = {}
        self._stirred: set[Key] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._since

    def stir(self, key: Key) -> None:
        """Something was heard of it: the next look is a whole one."""
        if key in self._since:
            self._stirred.add(key)

    def glance(self, key: Key, now: float) -> str | None:
        """The pod without which there is nothing to see; None: a whole look is due."""
        stirred, since = key in self._stirred, self._since.get(key)
        self._stirred.discard(key)
        if stirred or since is None or now - since >= GLANCE_SECONDS:
            return None
        return f"{child_name(key.kind, key.name, 1)}-master-0"

    def looked(self, key: Key, now: float, *, quiet: bool) -> None:
        """After a whole look."""
        if quiet:
            self._since.setdefault(key, now)
        else:
            self._since.pop(key, None)
            self._stirred.discard(key)

    def clear(self) -> None:
        self._since.clear()
        self._stirred.clear()
