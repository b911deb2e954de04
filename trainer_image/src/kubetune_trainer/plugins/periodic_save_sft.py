"""Full states of instructlab-training: saved while training goes on, and resumed at the very next sample.

The backend saves at epoch ends only, into a directory that may be torn when it is found again, and takes up a state from
within an epoch wrongly: it skips that many batches of the resumed epoch, trains nothing and exits 0. Its callbacks cannot
save (they get a copied context in another thread), but CallbackManager.fire itself runs on the main thread of every rank,
provided that at least one callback was passed.

The samplers reseed with seed + epoch, so that the order of samples needs no state of its own.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubetune_trainer.plugins.ranks import highest, is_first, resume_loader, world_size
from kubetune_trainer.plugins.saving import Preempted, SavedState, Schedule, Urgency, schedule_of, write_state
from kubetune_trainer.plugins.staging import Place, bytes_of, save_state

PRIVATE_NAMES = (
    "instructlab.training.callbacks:CallbackManager.fire",
    "instructlab.training.callbacks:TrainingContext",
    "instructlab.training.utils:save_full_state",
    "instructlab.training.utils:load_latest_full_state",
)

NO_LORA = False  # save_full_state's is_lora


def install(*, keep: int, resume_from: str | None, **when: Any) -> None:
    """`resume_from`: the state to go on from; None: from the start, whatever lies in output_dir/full_state.

    `when`: schedule_of's.
    """
    from instructlab.training import callbacks, utils

    saver = Saver(utils.save_full_state, schedule_of(**when), keep)
    load, fire = utils.load_latest_full_state, callbacks.CallbackManager.fire

    def load_and_place(args: Any, accelerator: Any) -> None:
        if resume_from is not None:
            load_state(load, args, accelerator, Path(resume_from))
        saver.begin(args, accelerator)

    def fire_and_save(manager: Any, hook: str, **extra: Any) -> None:
        saver.before(hook)
        fire(manager, hook, **extra)
        saver.after(hook, manager.context, **extra)

    utils.load_latest_full_state = load_and_place
    callbacks.CallbackManager.fire = fire_and_save


def load_state(load: Callable[[Any, Any], None], args: Any, accelerator: Any, state: Path) -> None:
    """Has the backend load this state and no other: it takes the highest of those below <output_dir>/full_state."""
    output_dir = args.output_dir
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "full_state"
        home.mkdir()
        (home / "step_0").symlink_to(state)
        args.output_dir = scratch
        try:
            load(args, accelerator)
        finally:
            args.output_dir = output_dir


class Saver:
    """What has to be remembered between the hooks of one run."""

    def __init__(self, save: Callable[..., None], schedule: Schedule, keep: int) -> None:
        self.save, self.schedule, self.keep = save, schedule, keep
        self.args: Any = None
        self.accelerator: Any = None
        self.generator: Any = None  # set again at the first step: starting the loader and skipping batches draw from it
        self.pending = Urgency.NONE  # of an epoch's last step, which is saved once the epoch is counted

    def begin(self, args: Any, accelerator: Any) -> None:
        """After the state was loaded.

        `step` goes on counting over the whole run, and earlier epochs become empty batches, which train() skips.
        """
        import torch

        self.args, self.accelerator = args, accelerator
        self.schedule.saved()
        skipped = args.current_epoch * len(accelerator.train_loader)
        args.last_step = max(args.last_step, skipped)
        if args.last_step:
            self.generator = torch.get_rng_state()
            resume_loader(accelerator.train_loader, skipped)

    def before(self, hook: str) -> None:
        import torch

        if hook == "on_step_begin" and self.generator is not None:
            torch.set_rng_state(self.generator)
            self.generator = None

    def after(self, hook: str, context: Any, checkpoint_path: str = "") -> None:
        steps = len(self.accelerator.train_loader)
        if hook == "on_save" and is_first():
            state = SavedState(context.step, context.step // steps, context.total_samples, world_size())
            write_state(Path(checkpoint_path), state)
        elif hook == "on_step_end":
            urgency = Urgency(highest(self.schedule.urgency))
            due = self.schedule.due(context.step, urgency, epoch_end=False)
            if due and context.step % steps:
                self.save_whole(context, urgency, mid_epoch=True)
            self.pending = max(urgency, Urgency(due))
        elif (
            hook == "on_epoch_end"
            and context.epoch + 1 < self.args.num_epochs
            and self.schedule.due(context.step, self.pending, epoch_end=True)
        ):
            self.save_whole(context, self.pending, mid_epoch=False)

    def save_whole(self, context: Any, urgency: Urgency, *, mid_epoch: bool) -> None:
        """Collective. The context's epoch is the one in progress, or the one just ended. Raises Preempted if that was asked for."""
        epoch = context.epoch
        saved = save_state(
            Place(Path(self.args.output_dir), "full_state", self.keep),
            SavedState(context.step, epoch if mid_epoch else epoch + 1, context.total_samples, world_size()),
            bytes_of(self.accelerator.model.model, self.accelerator.optimizer),
            lambda stage: self.write(context, stage, mid_epoch=mid_epoch),
        )
        self.schedule.saved()
        if urgency is Urgency.SAVE_AND_END:
            raise Preempted(context.step, saved=saved)

    def write(self, context: Any, stage: Path, *, mid_epoch: bool) -> Callable[[], Path]:
        args = Namespace(**{**vars(self.args), "output_dir": str(stage)})
        self.save(args, self.accelerator, NO_LORA, context.epoch, context.total_samples, context.step if mid_epoch else None)
        return lambda: next((stage / "full_state").iterdir())
