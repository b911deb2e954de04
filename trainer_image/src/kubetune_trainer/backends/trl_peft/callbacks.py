"""What happens beside the training: a line of metrics a step, adapters, and full states that are whole by construction."""

from __future__ import annotations

import json
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from kubetune_trainer.backends.trl_peft.batches import Batches
from kubetune_trainer.contract import CheckpointPolicy
from kubetune_trainer.plugins.ranks import barrier, highest, is_first, keeps_directory, world_size
from kubetune_trainer.plugins.saving import Preempted, SavedState, Urgency, publish, schedule_of, write_state


class Metrics(TrainerCallback):  # type: ignore[misc]  # transformers ships no types that mypy follows
    """Appends a line a step to the node's file. Loss is per token over all ranks, rates are over all ranks."""

    def __init__(self, file: Path, batches: Batches) -> None:
        self.file, self.batches = file, batches
        self.time, self.tokens = 0.0, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        del args, state, control
        self.time = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_more: Any) -> None:
        del args, control
        state.log_history.clear()  # it would grow, and be written into every full state
        if "loss" not in logs:
            return
        now, tokens = time.monotonic(), int(logs["num_tokens"])
        seconds, new = now - self.time, tokens - self.tokens
        self.time, self.tokens = now, tokens
        if not state.is_local_process_zero:
            return
        step, steps, seen = state.global_step, self.batches.steps, self.batches.samples_seen(state.global_step)
        line = {
            "step": step,
            "epoch": (step - 1) // steps,
            "steps_per_epoch": steps,
            "loss": logs["loss"],
            "lr": logs["learning_rate"],
            "grad_norm": logs.get("grad_norm"),
            "samples_seen": seen,
            "tokens_per_second": new / seconds,
            "samples_per_second": (seen - self.batches.samples_seen(step - 1)) / seconds,
            "timestamp": datetime.now().astimezone().isoformat(),
        }
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")


class Saver(TrainerCallback):  # type: ignore[misc]  # as above
    """Adapters below hf_format, full states below full_state.

    Trainer writes a full state in place, into args.output_dir, which is ours to rename from once every rank has written.
    """

    def __init__(self, output_dir: Path, batches: Batches, policy: CheckpointPolicy, *, at_epoch: bool) -> None:
        self.output_dir, self.batches, self.at_epoch, self.keep = output_dir, batches, at_epoch, policy.keep
        self.schedule = schedule_of(**policy.model_dump(exclude={"keep", "keep_weights"}))
        self.urgency = Urgency.NONE

    def on_train_begin(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        del state, control
        if keeps_directory():
            shutil.rmtree(args.output_dir, ignore_errors=True)  # what a killed run left of a save
        barrier()
        self.schedule.saved()

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> Any:
        del args
        step = state.global_step
        last, epoch_end = step == state.max_steps, step % self.batches.steps == 0
        if is_first() and (last or (epoch_end and self.at_epoch)):
            save_adapter(
                adapter_dir(self.output_dir, self.state_of(step)), more["model"], more["processing_class"], self.state_of(step)
            )
        if not last:  # after the last step nothing is left to do
            self.urgency = Urgency(highest(self.schedule.urgency))
            control.should_save = self.schedule.due(step, self.urgency, epoch_end=epoch_end)
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        del control
        barrier()
        if keeps_directory():
            staged = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            publish(staged, self.output_dir / "full_state", self.state_of(state.global_step), self.keep)
        barrier()
        self.schedule.saved()
        if self.urgency is Urgency.SAVE_AND_END:
            raise Preempted(state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_more: Any) -> None:
        del state, control
        if keeps_directory():
            shutil.rmtree(args.output_dir, ignore_errors=True)

    def state_of(self, step: int) -> SavedState:
        return SavedState(step, step // self.batches.steps, float(self.batches.samples_seen(step)), world_size())


def adapter_dir(output_dir: Path, state: SavedState) -> Path:
    return output_dir / "hf_format" / f"samples_{int(state.samples_seen)}"


def save_adapter(directory: Path, model: Any, tokenizer: Any, state: SavedState) -> None:
    """The mark comes last: a directory without it may still be half there."""
    model.save_pretrained(str(directory))
    tokenizer.save_pretrained(str(directory))
    write_state(directory, state)
