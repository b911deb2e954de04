"""Which checkpoints of a run go into its store, in which order, and which leave it again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubetune_trainer.backends.base import FoundCheckpoint
from kubetune_trainer.checkpoints.keeper import Keeper, Sealed, replaced
from kubetune_trainer.checkpoints.manifest import Manifest
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.output import AWAITING, OutputStore

log = logging.getLogger(__name__)


@dataclass
class Uploads:
    """Of one run. `earlier`: the runs of the same job before it, by the directories that stand for them on this disk."""

    store: OutputStore
    keeper: Keeper
    earlier: tuple[Path, ...] = ()
    last: bool = False  # training is over: the store is waited for
    _done: dict[Path, Manifest] = field(default_factory=dict)
    _before: list[Sealed] | None = None  # what the earlier runs left; None: the store was not asked yet
    _told: tuple[Path, str] | None = None  # the failure that was logged last

    def in_order(self, found: Sequence[FoundCheckpoint], *, reached_end: bool) -> list[FoundCheckpoint]:
        """Which of the new ones to upload, the most urgent first: a run that is cut off goes on from its newest full state.

        Once the end is reached nothing goes on from a full state; a node that is not the first has only parts of full states.
        """
        keep = self.keeper.policy.keep
        kept = sorted(each.step for each in self._done.values() if each.kind == "full-state")[-keep:]
        floor = kept[0] if len(kept) == keep else -1  # an older state would be removed at once
        states = [each for each in found if each.kind == "full-state" and each.step > floor and not reached_end]
        weights = [each for each in found if each.kind != "full-state" and self.store.first]
        return sorted([*states, *weights], key=lambda each: (-each.step, each.kind != "full-state"))

    def upload(self, found: FoundCheckpoint, manifest: Manifest) -> Manifest:
        """Blocks until the checkpoint is there; raises StoreError, or OSError if its files are gone."""
        if self.store.first:
            manifest = self.store.seal(found.path, manifest, last=self.last)
        else:
            self.store.share(found.path, manifest, last=self.last)
        self._done[found.path] = manifest
        return manifest

    def retire(self) -> list[Path] | None:
        """Lets go what newer ones replace, over all attempts, in the store and on this disk; returns their paths.

        None: a later attempt has begun. It may be bringing what this one would remove.
        """
        if not self.store.first:
            return []
        try:
            if self.store.followed():
                return None
            if self._before is None:
                self._before = [pair for run in self.earlier for pair in self.store.sealed(self.store.location_of(run))]
        except StoreError as error:
            log.warning("%s: what other attempts left cannot be listed, and nothing is removed: %s", self.store.root.uri, error)
            return []
        gone = replaced(self._before, [(manifest, path) for path, manifest in self._done.items()], self.keeper.policy)
        for manifest, path in gone:
            self._let_go(manifest, path)
        self._before = [pair for pair in self._before if pair not in gone]
        return [path for _, path in gone]

    def _let_go(self, manifest: Manifest, path: Path) -> None:
        """One that the store does not let go is told, and not tried again."""
        self._done.pop(path, None)
        reason, told = (
            self.keeper.why_replaced(manifest),
            {"kind": manifest.kind, "step": manifest.step, "bytes": manifest.total_bytes},
        )
        try:
            self.store.remove(path)
        except StoreError as error:
            reason = f"{reason}; {self.store.location_of(path).uri} stays in the store: {error}"
            log.warning("%s", reason)
        ranks_own = manifest.kind == "full-state" and path.is_relative_to(self.store.local)
        if path.is_dir() and not ranks_own:
            self.keeper.remove(path, reason, **told)
        else:
            self.keeper.note("removed", path, reason=reason, **told)

    def failed(self, found: FoundCheckpoint, error: StoreError) -> None:
        """Says so once: the next look tries again, twice a second."""
        if (found.path, error.code) != self._told and error.code != AWAITING and not self.store.hurried:
            log.warning("%s is not uploaded yet: %s", self.store.location_of(found.path).uri, error)
            self._told = (found.path, error.code)

    def why_not(self, reason: object) -> str:
        """Of a checkpoint that stayed on this node."""
        return f"was saved on this node, and not uploaded to {self.store.root.uri}: {reason}"
