"""Full states of mini-trainer: saved while training goes on, and resumed at the very next sample.

The backend saves only when it is told to end, and resumes wrongly: it skips batches of the resumed epoch for every step of
the whole run, takes its first step at the schedule's first rate (the scheduler is restored, the optimizer's own rate is
not), and a state of an epoch's last step skips the whole next epoch.

All that a save needs is together in one place only, the local variables of train(): they are read through its frame. The
synchronous hook is CallbackManager.fire, provided that at least one callback was passed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from kubetune_trainer.plugins.ranks import highest, is_first, resume_loader, world_size
from kubetune_trainer.plugins.saving import Preempted, SavedState, Schedule, Urgency, schedule_of, write_state
from kubetune_trainer.plugins.staging import Place, bytes_of, save_state

PRIVATE_NAMES = (
    "mini_trainer.callbacks:CallbackManager.fire",
    "mini_trainer.full_state_checkpoint:FullStateCheckpointer.save",
    "mini_trainer.full_state_checkpoint:FullStateCheckpointer.load_rng_states",
)
TRAIN_LOCALS = (
    "model",
    "optimizer",
    "lr_scheduler",
    "data_loader",
    "device",
    "output_dir",
    "max_epochs",
    "checkpointer",
    "validation_scheduler",
    "step",
    "epoch",
    "total_samples_accumulated",
    "total_tokens_processed",
    "last_validation_loss",
)
"""The names in mini_trainer.train.train() that are read; a test asserts that its code has them."""

TRAINING_STATE = ("step", "epoch", "total_samples_accumulated", "total_tokens_processed", "last_validation_loss")
CHECKPOINTER_STATE = ("last_saved_samples", "last_frequency_saved_samples", "best_val_loss")


def install(*, keep: int, **when: Any) -> None:
    """`when`: schedule_of's."""
    from mini_trainer import callbacks, full_state_checkpoint

    checkpointer = full_state_checkpoint.FullStateCheckpointer
    saver = Saver(checkpointer, schedule_of(**when), keep)
    load_rng, fire = checkpointer.load_rng_states, callbacks.CallbackManager.fire

    def load_and_place(checkpoint_dir: str | Path, rank: int) -> None:
        load_rng(checkpoint_dir, rank)
        saver.resume(train_locals())

    def fire_and_save(manager: Any, hook: str, **extra: Any) -> None:
        saver.before(hook)
        fire(manager, hook, **extra)
        saver.after(hook, **extra)

    checkpointer.load_rng_states = staticmethod(load_and_place)
    callbacks.CallbackManager.fire = fire_and_save


def train_locals() -> dict[str, Any]:
    """The local variables of the backend's train(), which is among our callers.

    Raises:
        RuntimeError: it is not.

    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to all of the state, see above
    while frame is not None:
        code = frame.f_code
        if code.co_name == "train" and code.co_filename.endswith("mini_trainer/train.py"):
            return frame.f_locals
        frame = frame.f_back
    raise RuntimeError("mini_trainer.train.train() is not running")


def state_of(run: dict[str, Any], epoch: int) -> SavedState:
    return SavedState(run["step"], epoch, float(run["total_samples_accumulated"]), world_size())


class Saver:
    """What has to be remembered between the hooks of one run."""

    def __init__(self, checkpointer: Callable[..., Any], schedule: Schedule, keep: int) -> None:
        self.checkpointer, self.schedule, self.keep = checkpointer, schedule, keep
        self.generator: Any = None  # set again at the first step: starting the loader draws from it
        self.pending = Urgency.NONE  # of an epoch's last step, which is saved once the epoch is counted

    def resume(self, run: dict[str, Any]) -> None:
        """When the backend has restored its counters: earlier epochs become empty batches, which train() skips."""
        import torch

        self.generator = torch.get_rng_state()
        resume_loader(run["data_loader"], run["epoch"] * len(run["data_loader"]))

    def before(self, hook: str) -> None:
        import torch

        if hook == "on_train_begin":
            self.schedule.saved()
        if hook == "on_step_begin" and self.generator is not None:
            run = train_locals()
            torch.set_rng_state(self.generator)
            self.generator = None
            for group, rate in zip(run["optimizer"].param_groups, run["lr_scheduler"].get_last_lr(), strict=True):
                group["lr"] = rate

    def after(self, hook: str, checkpoint_path: str = "", **_other: Any) -> None:
        if hook not in ("on_save", "on_step_end", "on_epoch_end"):
            return
        run = train_locals()
        steps = len(run["data_loader"])
        if hook == "on_save":
            if is_first():
                write_state(Path(checkpoint_path), state_of(run, run["step"] // steps))
        elif hook == "on_step_end":
            urgency = Urgency(highest(self.schedule.urgency))
            due = self.schedule.due(run["step"], urgency, epoch_end=False)
            if due and run["step"] % steps:
                self.save_whole(run, urgency)
            self.pending = max(urgency, Urgency(due))
        elif run["step"] < run["max_epochs"] * steps and self.schedule.due(run["step"], self.pending, epoch_end=True):
            self.save_whole(run, self.pending)

    def save_whole(self, run: dict[str, Any], urgency: Urgency) -> None:
        """Collective. At an epoch's end the backend has already counted it, which is what a resume needs.

        Raises Preempted if that was asked for.
        """
        saved = save_state(
            Place(Path(run["output_dir"]), "full_state_checkpoints", self.keep),
            state_of(run, run["epoch"]),
            bytes_of(run["model"], run["optimizer"]),
            lambda stage: self.write(run, stage),
        )
        self.schedule.saved()
        if urgency is Urgency.SAVE_AND_END:
            raise Preempted(run["step"], saved=saved)

    def write(self, run: dict[str, Any], stage: Path) -> Callable[[], Path]:
        from torch import distributed

        validation = {k: v for k, v in vars(run["validation_scheduler"]).items() if k.startswith("last_")}
        self.checkpointer(stage, distributed.get_rank(), world_size()).save(
            model=run["model"],
            optimizer=run["optimizer"],
            lr_scheduler=run["lr_scheduler"],
            training_state={k: run[k] for k in TRAINING_STATE} | {"validation_scheduler_state": validation},
            checkpointer_state={k: getattr(run["checkpointer"], k) for k in CHECKPOINTER_STATE},
            data_loader=run["data_loader"],
            device=run["device"],
            rng_snapshot=None,  # the step is done: the generator as it is now
        )
        return lambda: stage / f"step_{run['step']}"
