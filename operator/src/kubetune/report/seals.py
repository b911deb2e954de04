"""Checkpoints that the ledger lists, looked at on the disk: whether they are as they were sealed, chosen, copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from kubetune.report.fates import Fate
from kubetune.report.metrics import Step
from kubetune_trainer.checkpoints.manifest import check_manifest, read_manifest, seal_of


class CopyError(Exception):
    """Nothing was copied; the text says why and what to do."""


def place_of(fate: Fate, directory: Path) -> Path:
    """Where it lies; one of another job is told of by its own path."""
    return directory / fate.path


def there(fate: Fate, directory: Path) -> bool:
    return fate.kept and place_of(fate, directory).is_dir()


def problems(fate: Fate, directory: Path) -> list[str]:
    """What is wrong with a checkpoint that counts: every file is read again. Empty: it is as it was verified."""
    path = place_of(fate, directory)
    if not path.is_dir():
        return ["is not there any more"]
    found = check_manifest(path)
    if not found and fate.manifest_sha256 and seal_of(read_manifest(path)) != fate.manifest_sha256:
        return ["has another manifest than the ledger says"]
    return found


def chosen(which: str, fates: Sequence[Fate], directory: Path, steps: Sequence[Step]) -> Fate:
    """Of those that are there: `last` and `best` are weights, of a step its weights before its full state.

    `best` is the one whose step had the lowest validation loss, where there is any, else the lowest loss.

    Raises:
        CopyError: there is none such.

    """
    known = [fate for fate in fates if there(fate, directory)]
    weights = [fate for fate in known if fate.kind != "full-state"]
    if which in ("last", "best"):
        if not weights:
            raise CopyError(f"there are no verified weights in {directory}; what there is: {listed(known)}")
        return max(weights, key=lambda fate: fate.step or 0) if which == "last" else best(weights, steps)
    found = [fate for fate in known if str(fate.step) == which]
    if not found:
        raise CopyError(f"there is no verified checkpoint of step {which} in {directory}; what there is: {listed(known)}")
    return min(found, key=lambda fate: fate.kind == "full-state")


def best(weights: Sequence[Fate], steps: Sequence[Step]) -> Fate:
    """A later one before an equal one."""
    measured = {step.step: step.validation_loss for step in steps if step.validation_loss is not None}
    losses = measured or {step.step: step.loss for step in steps if step.loss is not None and step.loss == step.loss}
    rated = [fate for fate in weights if fate.step in losses]
    if not rated:
        raise CopyError("no loss is known of the steps that have weights; name a step or last")
    return min(reversed(rated), key=lambda fate: losses[fate.step or 0] or 0.0)


def listed(fates: Sequence[Fate]) -> str:
    return ", ".join(f"{fate.kind} of step {fate.step}" for fate in fates) or "nothing"


def copy_out(source: Path, target: Path) -> int:
    """Copies the checkpoint beside `target`, reads the copy again and renames it; its bytes. A failed copy leaves nothing.

    Raises:
        CopyError: the target is there already, the source is damaged, or the copy could not be made or is not as the source.

    """
    if target.exists() or target.is_symlink():
        raise CopyError(f"{target} is there already; name a directory that is not")
    aside = target.with_name(f".{target.name}.copying-{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, aside)
        settle(aside)
        if found := check_manifest(aside):
            raise CopyError(f"{source} was not copied: {'; '.join(found)}")
        size = read_manifest(aside).total_bytes
        aside.rename(target)
    except (OSError, shutil.Error) as error:
        raise CopyError(f"{source} was not copied to {target}: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return size


def settle(directory: Path) -> None:
    """Has the kernel write everything out, so that what is renamed outlives a power cut."""
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
