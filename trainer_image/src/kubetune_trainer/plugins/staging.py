"""One full state, written aside and published; or, where the disk has no room for it, told, cleared away and gone on without."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kubetune_trainer.disk import free_bytes, full_disk, is_full, says_full
from kubetune_trainer.plugins.ranks import barrier, highest, is_first, keeps_directory, total_here, world_size
from kubetune_trainer.plugins.saving import STAGE, SavedState, Unsaved, note_unsaved, publish


@dataclass(frozen=True)
class Place:
    """Where full states go: into `name` below `output_dir`, of which `keep` stay (saving.publish)."""

    output_dir: Path
    name: str
    keep: int


def save_state(place: Place, state: SavedState, needed: int, write: Callable[[Path], Callable[[], Path]]) -> bool:
    """Collective. True: the state has its place. False: there was no room, what was written of it is gone.

    A shortage is foreseen by all ranks together, from the bytes that each is about to write. Of several ranks one that fails
    nevertheless would leave the others waiting in a collective, so that this ends the run; alone, it goes on.

    Args:
        place: where it goes.
        state: what it holds.
        needed: bytes that this rank is to write, as nearly as it knows.
        write: fills the given directory and returns what tells the place of the state in it.

    Raises:
        TrainingError: of class DiskFull, see above.

    """
    output_dir, all_needed = place.output_dir, total_here(needed)
    stage = output_dir / STAGE
    if keeps_directory():
        shutil.rmtree(stage, ignore_errors=True)
    barrier()
    if highest(int(free_bytes(output_dir) < all_needed)):
        return unsaved(output_dir, state, all_needed, free_bytes(output_dir), "too little space for it")
    free, failure, began = all_needed, None, time.monotonic()
    try:
        placed = write(stage)
        barrier()
        if keeps_directory():
            took = round(time.monotonic() - began, 3)
            publish(placed(), output_dir / place.name, replace(state, seconds=took), place.keep)
    except Exception as error:
        free = free_bytes(output_dir)
        if not (says_full(error) or is_full(output_dir)):
            raise
        if world_size() > 1:
            raise full_disk(f"the full state of step {state.step} could not be saved", stage, all_needed) from error
        failure = f"{type(error).__name__}: {str(error)[:200]}"
    if keeps_directory():  # not before: the error keeps files open, and their space taken
        shutil.rmtree(stage, ignore_errors=True)
    barrier()
    return True if failure is None else unsaved(output_dir, state, all_needed, free, failure)


def unsaved(output_dir: Path, state: SavedState, needed: int, free: int, reason: str) -> bool:
    if is_first():
        note_unsaved(Unsaved(state.step, needed, free, reason), output_dir)
    return False


def bytes_of(model: Any, optimizer: Any) -> int:
    """What this rank holds of weights, buffers and optimizer: a full state is that and little more."""
    held = [*model.parameters(), *model.buffers()]
    kept = [value for state in optimizer.state.values() for value in state.values() if hasattr(value, "nbytes")]
    return sum(local(tensor).nbytes for tensor in unique([*held, *kept]))


def local(tensor: Any) -> Any:
    """Of a sharded tensor (DTensor) this rank's part."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def unique(tensors: Iterable[Any]) -> Iterable[Any]:
    return {id(tensor): tensor for tensor in tensors}.values()
