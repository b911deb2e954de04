"""What becomes of a run's checkpoints: sealed ones count, damaged ones go to quarantine, old ones make room. Told in the ledger."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubetune_trainer.checkpoints.last_good import Good, LastGood, claim, move
from kubetune_trainer.checkpoints.ledger import Entry, Event, Ledger
from kubetune_trainer.checkpoints.manifest import Manifest, read_manifest, seal_of
from kubetune_trainer.contract import MANIFEST_NAME, CheckpointKind, CheckpointPolicy
from kubetune_trainer.disk import size_below
from kubetune_trainer.plugins.saving import STAGE

logger = logging.getLogger(__name__)

QUARANTINE = "quarantine"
QUARANTINED = 2
"""How many stay there, for whoever wants to know what happened; they may be as large as the model."""

HOMES = {"hf_format": "hf", "full_state": "full-state", "full_state_checkpoints": "full-state"}
"""The directories of a run below which each entry is a checkpoint, and of which kind (an adapter's says so in its manifest)."""


@dataclass
class Keeper:
    """Of one attempt, on the node that judges. `directory` is the job's: the ledger and the pointer are there."""

    directory: Path
    attempt: int = 1
    policy: CheckpointPolicy = field(default_factory=CheckpointPolicy)
    told: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.directory, self.attempt)

    def note(self, event: Event, checkpoint: Path | str | None = None, **fields: Any) -> None:
        self.told.append(self.ledger.add(event, checkpoint, **fields))

    def begin(self) -> LastGood | None:
        """Takes the pointer over. A full disk does not keep a run from starting: its first save will move the pointer."""
        try:
            return claim(self.directory, self.attempt)
        except OSError as error:
            logger.warning("the last-good pointer cannot be written: %s", error)
            return None

    def seal(self, path: Path, manifest: Manifest, seconds: float, save_seconds: float | None = None) -> bool:
        """Counts a verified checkpoint and lets those go that it replaces. False: a later attempt took over, it does not count."""
        good = Good(
            path=self.ledger.name_of(path),
            kind=manifest.kind,
            step=manifest.step,
            attempt=self.attempt,
            time=manifest.time,
            manifest_sha256=seal_of(manifest),
        )
        counts = move(self.directory, self.attempt, good)
        self.note(
            "saved",
            path,
            kind=manifest.kind,
            step=manifest.step,
            epoch=manifest.epoch,
            bytes=manifest.total_bytes,
            save_seconds=save_seconds,
            seconds=round(seconds, 3),
            manifest_sha256=good.manifest_sha256,
            reason=None if counts else "a later attempt has begun: this one no longer counts",
        )
        return counts

    def quarantine(self, path: Path, reason: str, *, kind: CheckpointKind | None = None, step: int | None = None) -> Path:
        """Moves a damaged checkpoint aside; returns where it lies now. One of another job is left where it is."""
        if not path.is_relative_to(self.directory):
            return path
        home = self.directory / QUARANTINE
        home.mkdir(exist_ok=True)
        name = path.relative_to(self.directory).as_posix().replace("/", ".")
        aside = home / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.{name}"
        shutil.move(path, aside)  # an attempt's directory may be a volume of its own
        logger.error("quarantined: %s was moved to %s: %s", path, aside, reason)
        self.note("quarantined", path, kind=kind, step=step, bytes=size_below(aside), reason=f"{reason}; now {aside.name}")
        for old in sorted(home.iterdir())[:-QUARANTINED]:
            self.remove(old, "the quarantine is bounded")
        return aside

    def remove(self, path: Path, reason: str, **fields: Any) -> None:
        """Out of sight by one rename first, so that nobody finds it half there."""
        fields.setdefault("bytes", size_below(path))
        gone = path.with_name(f".{path.name}.removing")
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        logger.info("removed %s: %s", path, reason)
        self.note("removed", path, reason=reason, **fields)

    def sweep(self, runs: Sequence[Path], *, full: bool = False) -> None:
        """What ended attempts left half done: nothing of it is ever resumed from. `full`: the disk is, so it goes at once."""
        for run in runs:
            for rest in (run / STAGE, *run.glob("*/.*.removing")):
                if rest.is_dir():
                    self.remove(rest, "half written or half removed when its attempt ended")
            for path, kind in checkpoints_below(run):
                if (path / MANIFEST_NAME).is_file():
                    continue
                if full:
                    self.remove(path, "half written when the disk was full", kind=kind)
                else:
                    self.quarantine(path, "its attempt ended before it was verified", kind=kind)

    def retire(self, runs: Sequence[Path], own: Path) -> list[Path]:
        """Removes what newer ones replace, and returns it; `own` run's full states go as new ones come: the ranks see to that."""
        gone = [
            (manifest, path)
            for manifest, path in replaced(sealed(runs), sealed([own]), self.policy)
            if manifest.kind != "full-state" or not path.is_relative_to(own)
        ]
        for manifest, path in gone:
            self.remove(path, self.why_replaced(manifest), kind=manifest.kind, step=manifest.step)
        return [path for _, path in gone]

    def why_replaced(self, manifest: Manifest) -> str:
        return f"the newest {self.policy.keep if manifest.kind == 'full-state' else self.policy.keep_weights} stay"


Sealed = tuple[Manifest, Path]


def replaced(earlier: Sequence[Sealed], own: Sequence[Sealed], policy: CheckpointPolicy) -> list[Sealed]:
    """What newer checkpoints replace, wherever they lie. Own full states give way to own ones alone.

    An attempt that was followed may have come farther: its states must not push out those that count.
    """
    old, new = ([each for each in found if each[0].kind == "full-state"] for found in (earlier, own))
    gone = [each for each in beyond([*old, *new], policy.keep) if each in old] + beyond(new, policy.keep)
    if policy.keep_weights is not None:
        gone += beyond([each for each in (*earlier, *own) if each[0].kind != "full-state"], policy.keep_weights)
    return gone


def beyond(found: Sequence[Sealed], keep: int) -> list[Sealed]:
    """All but the newest."""
    return sorted(found, key=lambda pair: (pair[0].step, pair[0].attempt))[:-keep]


def checkpoints_below(run: Path) -> Iterator[tuple[Path, CheckpointKind]]:
    """Every directory that holds a checkpoint or looks like one."""
    for home, kind in HOMES.items():
        for path in sorted((run / home).glob("[!.]*")):
            if path.is_dir():
                yield path, kind  # type: ignore[misc]  # the table's values are kinds


def sealed(runs: Sequence[Path]) -> list[Sealed]:
    """Those that have a manifest; whether they still are as it says is looked at when one is resumed from."""
    found = []
    for run in runs:
        for path, _ in checkpoints_below(run):
            with contextlib.suppress(OSError, ValueError):
                found.append((read_manifest(path), path))
    return found
