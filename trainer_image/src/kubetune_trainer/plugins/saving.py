"""Full states that are whole by construction: written aside, described, renamed, and only then are older ones removed."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from kubetune_trainer.contract import MANIFEST_NAME

STATE_FILE = "kubetune-state.json"
STAGE = ".saving"


@dataclass(frozen=True)
class SavedState:
    """What a full state holds, for those who do not want to unpickle it."""

    step: int  # optimizer steps done, over the whole run
    epoch: int  # complete epochs
    samples_seen: float
    world_size: int  # mini-trainer's optimizer shards only fit this one


@dataclass
class Schedule:
    """When to save: at each epoch's end, every N steps, every so many seconds; never after the last step: nothing is left to do."""

    every_epoch: bool
    every_steps: int | None
    every_seconds: float | None
    last: float = 0.0

    def saved(self) -> None:
        self.last = time.monotonic()

    @property
    def late(self) -> bool:
        return self.every_seconds is not None and time.monotonic() - self.last > self.every_seconds

    def due(self, step: int, *, late: bool, epoch_end: bool) -> bool:
        """`late` is what the ranks agreed on: their clocks differ, and all must save or none."""
        return late or (epoch_end and self.every_epoch) or bool(self.every_steps and step % self.every_steps == 0)


def write_state(directory: Path, state: SavedState) -> None:
    """Marks a directory as whole. A Hugging Face checkpoint without the mark may still be half there."""
    scratch = directory / f".{STATE_FILE}"
    scratch.write_text(json.dumps(asdict(state), sort_keys=True))
    scratch.replace(directory / STATE_FILE)


def publish(staged: Path, home: Path, state: SavedState, keep: int) -> Path:
    """Gives a whole state its place, then removes older ones. One rank calls this."""
    write_state(staged, state)
    final = home / f"step_{state.step}"
    home.mkdir(parents=True, exist_ok=True)
    if not final.exists():
        staged.rename(final)
    for old in superseded(home, keep):
        shutil.rmtree(old)
    return final


def superseded(home: Path, keep: int) -> list[Path]:
    """All but the `keep` newest states and the newest one that was verified.

    Until a new state has its manifest, the verified one is what a failed attempt goes on from.
    """
    states = sorted((p for p in home.iterdir() if (p / STATE_FILE).is_file()), key=lambda p: int(p.name.rpartition("_")[2]))
    verified = [p for p in states if (p / MANIFEST_NAME).is_file()]
    kept = {*states[-keep:], *verified[-1:]}
    return [p for p in states if p not in kept]
