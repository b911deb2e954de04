"""Decompositions in an object store (KUBETUNE_SVD_CACHE=s3://bucket/key), for jobs that share no volume.

The store is asked for what this machine does not have, and given what was computed here. Whatever is wrong with it costs a few
seconds once, never a run. Nothing is evicted there: a lifecycle rule of the bucket does that.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field

from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.errors import NOT_FOUND, StoreError
from kubetune_trainer.storage.location import Location, parse

PATIENCE_SECONDS = 5.0
"""Computing a matrix takes seconds, too: a store that is away for longer is not worth waiting for."""

CHECKSUM = "FlexibleChecksumError"
"""botocore's word for an object that is not what the store says it is: this one is computed again, the others are fine."""

log = logging.getLogger(__name__)


@dataclass
class SvdStore:
    """One for each rank: each decomposes, and so asks for, its own share of the matrices."""

    place: Location
    client: Client = field(default_factory=lambda: Client(patience=PATIENCE_SECONDS))
    _unusable: bool = False

    @classmethod
    def at(cls, uri: str) -> SvdStore:
        return cls(parse("KUBETUNE_SVD_CACHE", uri))

    def get(self, name: str) -> bytes | None:
        """The entry's file; None where there is none, or no store to ask."""
        if self._unusable:
            return None
        try:
            return self.client.read(self.place.below(name))
        except StoreError as error:
            if error.code == CHECKSUM:
                log.warning("SVD cache: the store's %s cannot be used (%s) and is computed again", name, error)
            elif error.code not in NOT_FOUND:
                self._give_up(error)
            return None

    def put(self, name: str, content: bytes) -> None:
        """One request: an object is whole or not there, whoever else writes it."""
        if self._unusable:
            return
        try:
            self.client.put(self.place.below(name), content, hashlib.sha256(content).hexdigest())
        except StoreError as error:
            self._give_up(error)

    def _give_up(self, error: StoreError) -> None:
        self._unusable = True
        log.warning("SVD cache: %s cannot be used (%s); decompositions are not shared through it", self.place.uri, error)
