"""What became of each checkpoint, out of the ledger's lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from kubetune_trainer.checkpoints.last_good import LastGood
from kubetune_trainer.checkpoints.ledger import Entry
from kubetune_trainer.contract import Checkpoint

KEPT, QUARANTINED, REMOVED, UNVERIFIED = "verified", "quarantined", "removed", "not verified"


@dataclass(frozen=True)
class Fate:
    """One checkpoint. `path` is relative to the job's directory; of a status that alone is known, a URI."""

    path: str
    kind: str
    step: int | None = None
    epoch: int | None = None
    bytes: int | None = None
    attempt: int | None = None
    time: datetime | None = None  # when it was verified
    manifest_sha256: str | None = None
    state: str = KEPT
    reason: str = ""
    resumed_by: tuple[int, ...] = ()
    last_good: bool = False

    @property
    def kept(self) -> bool:
        return self.state == KEPT


def fates(entries: Iterable[Entry], pointer: LastGood | None = None) -> list[Fate]:
    """In the order in which they were told of. A path that is written again is another checkpoint."""
    told: list[Fate] = []
    for entry in entries:
        if entry.checkpoint is not None:
            told = after(told, entry)
    good = {(each.path, each.step) for each in (pointer.full_state, pointer.weights) if each} if pointer else set()
    return [replace(fate, last_good=fate.kept and (fate.path, fate.step) in good) for fate in told]


def after(told: list[Fate], entry: Entry) -> list[Fate]:
    """With what the entry says of its checkpoint; of one that nothing was told of before only what matters."""
    place = next((i for i in reversed(range(len(told))) if told[i].path == entry.checkpoint), None)
    if entry.event == "saved" or (place is None and entry.event == "quarantined"):
        return [*told, with_news(first_sight(entry), entry)]
    if place is None:
        return told  # leftovers, and what lies in quarantine
    return [*told[:place], with_news(told[place], entry), *told[place + 1 :]]


def first_sight(entry: Entry) -> Fate:
    return Fate(
        path=entry.checkpoint or "",
        kind=entry.kind or "unknown",
        step=entry.step,
        epoch=entry.epoch,
        bytes=entry.bytes,
        attempt=entry.attempt,
        time=entry.time,
        manifest_sha256=entry.manifest_sha256,
        reason=entry.reason or "",
    )


def with_news(fate: Fate, entry: Entry) -> Fate:
    match entry.event:
        case "resumed":
            return replace(fate, resumed_by=(*fate.resumed_by, entry.attempt))
        case "quarantined":
            return replace(fate, state=QUARANTINED, reason=entry.reason or "")
        case "removed":
            return replace(fate, state=REMOVED, reason=entry.reason or "")
        case "refused":
            return replace(fate, reason=f"refused by attempt {entry.attempt}: {entry.reason}")
        case _:
            return fate


def of_status(checkpoints: Sequence[Checkpoint]) -> list[Fate]:
    """Where the status is all that is known."""
    return [
        Fate(
            path=each.uri,
            kind=each.kind,
            step=each.step,
            epoch=each.epoch,
            bytes=each.bytes,
            time=each.time,
            state=KEPT if each.verified else UNVERIFIED,
        )
        for each in checkpoints
    ]
