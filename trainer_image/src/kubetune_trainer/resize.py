"""Another number of ranks than the full state was written by: refused, or gone on from its weights where that was asked for.

A full state holds the optimizer rank by rank, and how samples are dealt out depends on the number of ranks: no other number can
go on exactly. The library alone meets this: nodes and procsPerNode of a started job cannot be changed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.backends.common import DEFAULT_EPOCHS
from kubetune_trainer.checkpoints.keeper import sealed
from kubetune_trainer.checkpoints.manifest import Manifest, check_manifest
from kubetune_trainer.checkpoints.resume import Rejected
from kubetune_trainer.contract import Message
from kubetune_trainer.errors import ConfigurationError

logger = logging.getLogger(__name__)

SETTING = "KUBETUNE_WORLD_SIZE_CHANGED"
ANSWERS = ("refuse", "weights", "restart")


class Restart(Message):
    """A run that began with the weights of an earlier one's checkpoint, and trains the epochs that were left."""

    weights: str
    num_epochs: int

    def applied(self, run: BackendRun) -> BackendRun:
        changed = {"model_dir": Path(self.weights), "parameters": {**run.parameters, "num_epochs": self.num_epochs}}
        return BackendRun(**{**vars(run), **changed})


def answer(run: BackendRun, resized: Rejected, runs: Sequence[Path], environment: Mapping[str, str]) -> Restart | None:
    """What KUBETUNE_WORLD_SIZE_CHANGED says to do; None: start from the start. `runs`: where the earlier checkpoints are.

    Raises:
        ConfigurationError: refuse (the default), no weights to go on from, or a setting that is none.

    """
    setting = environment.get(SETTING, ANSWERS[0])
    if setting not in ANSWERS:
        raise ConfigurationError(SETTING, setting, "is not known", f"set one of {', '.join(ANSWERS)}")
    if setting == "restart":
        logger.warning("%s=restart: training starts from the start", SETTING)
        return None
    ranks = run.torchrun.nnodes * run.torchrun.nproc_per_node
    if setting == "weights":
        return from_weights(run, runs, ranks)
    written = resized.resized.world_size if resized.resized else "other"
    remedy = (
        f"run it with {written} again; or set {SETTING}=weights to go on from the weights of the last checkpoint with a new "
        "optimizer and schedule for the epochs that are left, or =restart to train all of it anew"
    )
    problem = f"ranks in all cannot go on from {resized.path}: it was written by {written}, and keeps its optimizer by rank"
    raise ConfigurationError("nproc_per_node x nnodes", ranks, problem, remedy)


def from_weights(run: BackendRun, runs: Sequence[Path], ranks: int) -> Restart:
    manifest, path = last_weights(runs, ranks)
    left = (run.parameters.get("num_epochs") or DEFAULT_EPOCHS) - (manifest.epoch or 0)
    logger.warning(
        "training goes on from the weights in %s (step %d) for the %d epochs left, with a new optimizer and schedule",
        path,
        manifest.step,
        left,
    )
    return Restart(weights=str(path), num_epochs=left)


def last_weights(runs: Sequence[Path], ranks: int) -> tuple[Manifest, Path]:
    for manifest, path in sorted(sealed(runs), key=lambda pair: pair[0].step, reverse=True):
        if manifest.kind == "hf" and not check_manifest(path):
            return manifest, path
    problem = f"asks for weights to go on from with {ranks} ranks, and there is no verified checkpoint of weights on this disk"
    raise ConfigurationError(
        SETTING, "weights", problem, f"save them at epoch ends, name weights as model_path, or set {SETTING}=restart"
    )
