"""The script of every rank: trl's SFTTrainer over a peft model, on batches of ours (`python worker.py SETTINGS`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, concatenate_datasets
from peft import LoraConfig, PeftModel
from torch import distributed
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer

from kubetune_trainer.backends.trl_peft.batches import Batches, Loader
from kubetune_trainer.backends.trl_peft.callbacks import Metrics, Saver, adapter_dir
from kubetune_trainer.backends.trl_peft.settings import Settings
from kubetune_trainer.data.preflight import trust_remote_code
from kubetune_trainer.data.rows import IGNORED_LABEL
from kubetune_trainer.plugins.saving import STAGE, SavedState, write_state

MERGED = "_merged"


class Trainer(SFTTrainer):  # type: ignore[misc]  # trl ships no types that mypy follows
    """Takes its batches from `batches`.

    Trainer's own loader gives samples twice where their number is no multiple of the batch, so that all ranks have equally many.
    """

    batches: Batches

    def get_train_dataloader(self) -> Loader:
        return Loader(self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator)


def main(text: str) -> None:
    settings = Settings.model_validate_json(text)
    trainer = make_trainer(settings)
    trainer.train(resume_from_checkpoint=settings.resume_from)
    first, ranks = trainer.is_world_process_zero(), distributed.get_world_size()
    distributed.destroy_process_group()  # the other ranks do not wait for the merge
    if first and settings.parameters["merge_adapter"]:
        steps = trainer.state.global_step
        merge(settings, SavedState(steps, steps // trainer.batches.steps, float(trainer.batches.samples_seen(steps)), ranks))


def make_trainer(settings: Settings) -> Trainer:
    arguments = config(settings)
    batches = Batches(
        samples=settings.samples,
        batch=settings.parameters["effective_batch_size"],
        minibatch=settings.minibatch,
        rank=arguments.process_index,
        ranks=arguments.world_size,
        seed=arguments.seed,
    )
    arguments.gradient_accumulation_steps = batches.accumulation
    with arguments.main_process_first(desc="reading the data set"):
        data = dataset(settings)
    saver = Saver(Path(settings.output_dir), batches, settings.checkpoint, at_epoch=settings.parameters["checkpoint_at_epoch"])
    trainer = Trainer(
        model=settings.model_dir,
        args=arguments,
        train_dataset=data,
        processing_class=AutoTokenizer.from_pretrained(settings.model_dir, trust_remote_code=trust_remote_code()),
        peft_config=lora(settings.parameters),
        callbacks=[Metrics(Path(settings.metrics_file), batches), saver],
    )
    trainer.batches = batches
    return trainer


def config(settings: Settings) -> SFTConfig:
    """SFTConfig, but for gradient_accumulation_steps, which follows from the number of ranks that it tells.

    logging_nan_inf_filter would put an earlier loss in the place of one that is not finite. max_length would cut samples, and
    Trainer's own saves are ours to ask for.
    """
    given = settings.parameters
    optional = {
        "lr_scheduler_type": given.get("lr_scheduler"),
        "lr_scheduler_kwargs": given.get("lr_scheduler_kwargs"),
        "warmup_steps": given.get("warmup_steps"),
        "seed": given.get("seed"),
        "ddp_backend": "gloo" if settings.cpu else None,
    }
    attention = {"attn_implementation": "flash_attention_2"} if settings.flash_attention else {}
    return SFTConfig(
        output_dir=str(Path(settings.output_dir) / STAGE),
        num_train_epochs=given["num_epochs"],
        learning_rate=given["learning_rate"],
        per_device_train_batch_size=settings.minibatch,
        model_init_kwargs={"dtype": "auto", "device_map": None, **attention},
        trust_remote_code=trust_remote_code(),
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        use_cpu=settings.cpu,
        bf16=not settings.cpu,
        gradient_checkpointing=not settings.cpu,
        ddp_find_unused_parameters=False,
        average_tokens_across_devices=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **{name: value for name, value in optional.items() if value is not None},
    )


def lora(parameters: dict[str, Any]) -> LoraConfig:
    return LoraConfig(
        r=parameters["lora_r"],
        lora_alpha=parameters["lora_alpha"],
        lora_dropout=parameters["lora_dropout"],
        target_modules=parameters["target_modules"],
        task_type="CAUSAL_LM",
    )


def dataset(settings: Settings) -> Dataset:
    """The tokenised samples, and after them the row that Batches.samples means: two tokens, neither counted in the loss."""
    samples = Dataset.from_json(settings.data_file, cache_dir=settings.cache_dir).select_columns(["input_ids", "labels"])
    nothing = Dataset.from_dict({"input_ids": [[0, 0]], "labels": [[IGNORED_LABEL] * 2]}, features=samples.features)
    return concatenate_datasets([samples, nothing])


def merge(settings: Settings, state: SavedState) -> None:
    """The adapter of the last step, as it lies on disk, merged into the base model: a model of its own beside the adapter."""
    adapter = adapter_dir(Path(settings.output_dir), state)
    target = adapter.with_name(adapter.name + MERGED)
    with torch.device("cpu"):
        base = AutoModelForCausalLM.from_pretrained(settings.model_dir, dtype="auto", trust_remote_code=trust_remote_code())
        merged = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    merged.save_pretrained(str(target))
    AutoTokenizer.from_pretrained(str(adapter), trust_remote_code=trust_remote_code()).save_pretrained(str(target))
    write_state(target, state)


if __name__ == "__main__":
    main(sys.argv[1])
