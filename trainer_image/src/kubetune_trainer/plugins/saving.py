"""Full states that are whole by construction: written aside, described, renamed, and only then are older ones removed."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path

from kubetune_trainer.checkpoints.last_good import followed, spared
from kubetune_trainer.contract import MANIFEST_NAME, ExitCode
from kubetune_trainer.disk import room, says_full
from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.launch.evidence import STOP_FILE, UNSAVED_FILE

STATE_FILE = "kubetune-state.json"
STAGE = ".saving"


@dataclass(frozen=True)
class SavedState:
    """What a full state holds, for those who do not want to unpickle it."""

    step: int  # optimizer steps done, over the whole run
    epoch: int  # complete epochs
    samples_seen: float
    world_size: int  # mini-trainer's optimizer shards only fit this one
    seconds: float | None = None  # for which the save held up the training, of a full state


class Urgency(IntEnum):
    """What a rank wants; the highest of all ranks' is what all of them do, for their clocks and their nodes differ."""

    NONE = 0
    SAVE = 1
    SAVE_AND_END = 2


class Preempted(SystemExit):
    """Training ends here because that was asked for; `saved`: with a full state of this step."""

    def __init__(self, step: int, *, saved: bool = True) -> None:
        super().__init__(ExitCode.PREEMPTED.value)
        self.step, self.saved = step, saved

    def __str__(self) -> str:
        return f"{'saved' if self.saved else 'could not save'} at step {self.step} and ended, as asked"


@dataclass
class Schedule:
    """When to save: at each epoch's end, every N steps, every so many seconds, when the node is told to end.

    Never after the last step: nothing is left to do.
    """

    every_epoch: bool
    every_steps: int | None
    every_seconds: float | None
    stop_file: Path | None = None  # there once the node was told to end; None: such a request is not waited for
    last: float = 0.0

    def saved(self) -> None:
        self.last = time.monotonic()

    @property
    def urgency(self) -> Urgency:
        """This rank's."""
        if self.stop_file is not None and self.stop_file.exists():
            return Urgency.SAVE_AND_END
        late = self.every_seconds is not None and time.monotonic() - self.last > self.every_seconds
        return Urgency.SAVE if late else Urgency.NONE

    def due(self, step: int, urgency: Urgency, *, epoch_end: bool) -> bool:
        """`urgency` is what the ranks agreed on."""
        return urgency > Urgency.NONE or (epoch_end and self.every_epoch) or bool(self.every_steps and step % self.every_steps == 0)


def schedule_of(*, every_epoch: bool, every_steps: int | None, every_minutes: float | None, on_preemption: bool) -> Schedule:
    """In a worker, whose environment says where its node leaves word."""
    stop_file = Path(os.environ[LOG_DIR_ENV]) / STOP_FILE if on_preemption else None
    return Schedule(every_epoch, every_steps, every_minutes and every_minutes * 60, stop_file)


@dataclass(frozen=True)
class Unsaved:
    """A full state for which there was no room. Training went on, and the next one is tried when it is due."""

    step: int
    needed: int  # bytes
    free: int
    reason: str


def note_unsaved(unsaved: Unsaved, output_dir: Path) -> None:
    """For the launcher, which tells it; where even that finds no room, the rank's own log has it."""
    print(  # noqa: T201 - the ranks' output is the log
        f"the full state of step {unsaved.step} was not saved, training goes on: {room(output_dir, unsaved.needed)}", flush=True
    )
    try:
        with (Path(os.environ[LOG_DIR_ENV]) / UNSAVED_FILE).open("a") as file:
            file.write(json.dumps(asdict(unsaved)) + "\n")
    except OSError as error:
        if not says_full(error):
            raise


def read_unsaved(log_dir: Path) -> list[Unsaved]:
    """Whole lines only: the last one may still be written."""
    try:
        lines = (log_dir / UNSAVED_FILE).read_text()
    except FileNotFoundError:
        return []
    return [Unsaved(**json.loads(line)) for line in lines[: lines.rfind("\n") + 1].splitlines()]


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
        remove(old.rename(old.with_name(f".{old.name}.removing")))  # nobody finds it half there
    return final


def remove(gone: Path) -> None:
    """What stays is no reason to end a training, and goes when the next attempt begins. NFS keeps a file that is still read."""
    try:
        shutil.rmtree(gone)
    except OSError as error:
        print(f"{gone} cannot be removed yet: {error}", flush=True)  # noqa: T201 - the ranks' output is the log


def superseded(home: Path, keep: int) -> list[Path]:
    """All but the `keep` newest states, the newest verified one and the last good one; none once a later attempt has begun.

    Until a new state has its manifest, the verified one is what a failed attempt goes on from. A lost node's containers run on:
    what the attempt in its place has chosen, it has not read yet.
    """
    if followed(home.parent):
        return []
    states = sorted((p for p in home.glob("[!.]*") if (p / STATE_FILE).is_file()), key=lambda p: int(p.name.rpartition("_")[2]))
    verified = [p for p in states if (p / MANIFEST_NAME).is_file()]
    kept = {*states[-keep:], *verified[-1:], spared(home.parent)}
    return [p for p in states if p not in kept]
