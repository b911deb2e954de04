"""Which checkpoints of a run go into its store, in which order, and which leave it again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubetune_trainer.backends.base import FoundCheckpoint
from kubetune_trainer.checkpoints.manifest import Manifest
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.output import AWAITING, OutputStore

log = logging.getLogger(__name__)


@dataclass
class Uploads:
    """Of one run. `keep`: how many full states stay in the store."""

    store: OutputStore
    keep: int
    last: bool = False  # training is over: the store is waited for
    _done: dict[Path, FoundCheckpoint] = field(default_factory=dict)
    _told: tuple[Path, str] | None = None  # the failure that was logged last

    def in_order(self, found: Sequence[FoundCheckpoint], *, reached_end: bool) -> list[FoundCheckpoint]:
        """What is worth to be uploaded, the most urgent first: a run that is cut off goes on from its newest full state.

        Once the end is reached nothing goes on from a full state; a node that is not the first has only parts of full states.
        """
        kept = self._states()[-self.keep :]
        floor = kept[0].step if len(kept) == self.keep else -1  # an older state would be removed at once
        states = [each for each in found if each.kind == "full-state" and each.step > floor and not reached_end]
        weights = [each for each in found if each.kind != "full-state" and self.store.first]
        worth = [each for each in (*states, *weights) if each.path not in self._done]
        return sorted(worth, key=lambda each: (-each.step, each.kind != "full-state"))

    def upload(self, found: FoundCheckpoint, manifest: Manifest) -> Manifest:
        """Blocks until the checkpoint is there; raises StoreError, or OSError if its files are gone."""
        if self.store.first:
            manifest = self.store.seal(found.path, manifest, last=self.last)
        else:
            self.store.share(found.path, manifest, last=self.last)
        self._done[found.path] = found
        return manifest

    def retire(self) -> list[Path]:
        """Removes the full states beyond those kept; returns their paths. One that the store does not let go is told in the log."""
        old = self._states()[: -self.keep] if self.store.first else []
        for each in old:
            try:
                self.store.remove(each.path)
            except StoreError as error:
                log.warning("%s stays in the store: %s", self.store.location_of(each.path).uri, error)
            del self._done[each.path]
        return [each.path for each in old]

    def failed(self, found: FoundCheckpoint, error: StoreError) -> None:
        """Says so once: the next look tries again, twice a second."""
        if (found.path, error.code) != self._told and error.code != AWAITING and not self.store.hurried:
            log.warning("%s is not uploaded yet: %s", self.store.location_of(found.path).uri, error)
            self._told = (found.path, error.code)

    def why_not(self, reason: object) -> str:
        """Of a checkpoint that stayed on this node."""
        return f"was saved on this node, and not uploaded to {self.store.root.uri}: {reason}"

    def _states(self) -> list[FoundCheckpoint]:
        return sorted((each for each in self._done.values() if each.kind == "full-state"), key=lambda each: each.step)
