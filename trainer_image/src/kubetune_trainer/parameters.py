"""The training parameters of both usage documents, once: the library's keyword arguments and the resource's spec.training.

Python names are the documents'; JSON names are their camelCase. A field that is not required and not set is left to the
backend's own TrainingArgs, so that "not set" and "set to the default" stay different things and never make a diff; the
description says what the backend then does (instructlab-training 0.16.2, mini-trainer 0.9.0).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from kubetune_trainer.contract import WeightsKind
from kubetune_trainer.errors import ConfigurationError

SFT_DEFAULTS: dict[str, Any] = {"effective_batch_size": 128, "learning_rate": 2e-5, "max_seq_len": 4096}
"""What sft() uses where instructlab-training has no default of its own, so that its three-argument form works.

Batch and rate are the published full fine-tuning recipe of Stanford Alpaca (batch 128, learning rate 2e-5); 4096 tokens is
instructlab's own command-line default. max_seq_len is lowered to the model's max_position_embeddings where that is smaller;
max_tokens_per_gpu follows max_seq_len."""

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""At least one, and within Kubernetes' int32."""

Positive = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


Scheduler = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
    "cosine_with_min_lr",
    "cosine_warmup_with_min_lr",
    "warmup_stable_decay",
]
"""transformers.SchedulerType but for those that must be told the loss at every step, which mini-trainer does not do."""

Pattern = Annotated[str, Field(min_length=1, max_length=256)]


class TrainingParameters(BaseModel):
    """What all algorithms share. Each has a class of its own, whose methods say what the algorithm asks of a run."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, protected_namespaces=())

    num_epochs: Count | None = Field(default=None, description="Passes over the data set. Default: 1 (the backend's).")
    warmup_steps: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None, description="Optimizer steps over which the learning rate rises from 0. Default: 0 (the backend's)."
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None, description="Random seed of shuffling and dropout. Default: 42 (the backend's)."
    )
    use_liger: bool | None = Field(
        default=None, description="Use Liger's fused GPU kernels; needs a GPU. Default: false (the backend's)."
    )
    checkpoint_at_epoch: bool | None = Field(
        default=None,
        description="Write a Hugging Face checkpoint at the end of each epoch. Default: true for SFT (instructlab-training's), "
        "false for OSFT (mini-trainer's).",
    )

    def given(self) -> dict[str, Any]:
        """Only what the user set, by Python name."""
        return self.model_dump(exclude_none=True)

    @property
    def owed_kind(self) -> WeightsKind:
        """What the run must leave of its last step, verified, to have reached its end."""
        return "hf"

    def filled(self, max_positions: int | None) -> dict[str, Any]:
        """What the backend is given: what the user set, with our defaults where the backend has none, by Python name.

        `max_positions`: tokens that the model has positions for; None: it does not say. max_seq_len and max_tokens_per_gpu, which
        tokenising needs, must be among the result.
        """
        del max_positions  # no default here depends on the model
        return self.given()

    def check_samples(self, samples: int) -> None:
        """Refuses what does not go with the number of samples that are trained on; raises ConfigurationError."""


class SFTParameters(TrainingParameters):
    """Supervised fine-tuning by instructlab-training; no field is required."""

    effective_batch_size: Count | None = Field(
        default=None, description="Samples an optimizer step, over all GPUs. Default: 128 (kubetune's; the backend has none)."
    )
    learning_rate: Positive | None = Field(
        default=None, description="Peak learning rate of AdamW. Default: 2e-5 (kubetune's; the backend has none)."
    )
    max_seq_len: Count | None = Field(
        default=None,
        description="Longest sample in tokens: those of this length or more are left out and counted. Default: 4096, or the "
        "model's max_position_embeddings where that is smaller (kubetune's; the backend has none).",
    )
    max_tokens_per_gpu: Count | None = Field(
        default=None,
        description="Tokens of a mini-batch on one GPU: the cap on memory. Gradient accumulation makes up effectiveBatchSize. "
        "At least maxSeqLen (instructlab-training's own rule). Default: maxSeqLen.",
    )
    data_output_dir: str | None = Field(
        default=None,
        min_length=1,
        description="Directory for the tokenised data set. Default: a directory of the node's own below the attempt's output.",
    )
    save_samples: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(
        default=None,
        description="Write a Hugging Face checkpoint each time this many samples were seen (the backend fires only on exact "
        "multiples); 0 switches it off. Default: 0 (the backend's).",
    )
    accelerate_full_state_at_epoch: bool | None = Field(
        default=None,
        description="Save the full training state at the end of each epoch: without it a failed attempt starts over. "
        "Default: true (the backend's).",
    )

    def filled(self, max_positions: int | None) -> dict[str, Any]:
        """max_seq_len's default is lowered to the model's positions, and to max_tokens_per_gpu where only that is given."""
        return with_lengths(SFT_DEFAULTS | self.given(), self.given(), max_positions)

    def check_samples(self, samples: int) -> None:
        """instructlab-training saves by samples only when their count is an exact multiple: the last step must be one.

        Raises:
            ConfigurationError: the run would end without a checkpoint of its last step.

        """
        every, epochs = self.save_samples, self.num_epochs or 1
        if self.checkpoint_at_epoch is not False or not every or (samples * epochs) % every == 0:
            return
        problem = f"would leave no checkpoint of the last step: {epochs} epochs of {samples} samples are no multiple of it"
        remedy = "leave checkpoint_at_epoch out, or choose a divisor of that count"
        raise ConfigurationError("save_samples", every, problem, remedy)

    @model_validator(mode="after")
    def _room_for_the_longest_sample(self) -> Self:
        if self.max_tokens_per_gpu is not None and self.max_tokens_per_gpu < (self.max_seq_len or 1):
            raise ValueError(
                f"maxTokensPerGpu is {self.max_tokens_per_gpu}, less than maxSeqLen ({self.max_seq_len}): instructlab-training "
                "must fit the longest sample on one GPU; raise maxTokensPerGpu or lower maxSeqLen"
            )
        return self

    @model_validator(mode="after")
    def _leaves_a_checkpoint(self) -> Self:
        if self.checkpoint_at_epoch is False and not self.save_samples:
            raise ValueError(
                "checkpointAtEpoch is false and saveSamples is 0: the run would end without a checkpoint; "
                "leave checkpointAtEpoch out or set saveSamples"
            )
        return self


def with_lengths(filled: dict[str, Any], given: dict[str, Any], max_positions: int | None) -> dict[str, Any]:
    """`filled` with the two lengths where they are not given: see SFT_DEFAULTS."""
    if "max_seq_len" not in given:
        limits = (SFT_DEFAULTS["max_seq_len"], max_positions, given.get("max_tokens_per_gpu"))
        filled = filled | {"max_seq_len": min(limit for limit in limits if limit)}
    return {"max_tokens_per_gpu": filled["max_seq_len"], **filled}


class OSFTParameters(TrainingParameters):
    """Orthogonal subspace fine-tuning (arXiv:2504.07097) by mini-trainer."""

    unfreeze_rank_ratio: float = Field(
        ge=0,
        le=1,
        description="Share of each weight matrix's singular directions, the smallest ones, that is trained; the rest stays frozen. "
        "0.1 to 0.5 is usual; at 0 the backend still trains one direction.",
    )
    effective_batch_size: Count = Field(description="Samples an optimizer step, over all GPUs.")
    max_tokens_per_gpu: Count = Field(
        description="Tokens of a mini-batch on one GPU: the cap on memory. Not less than the longest sample that maxSeqLen keeps."
    )
    max_seq_len: Count = Field(description="Longest sample in tokens: those of this length or more are left out and counted.")
    learning_rate: Positive = Field(
        description="Peak learning rate of AdamW. Not comparable with SFT's: at an equal rate OSFT moves its matrices further."
    )
    target_patterns: Annotated[list[Pattern], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Substrings of the names of the two-dimensional weights to decompose. Default: the backend's choice.",
    )
    unmask_messages: bool | None = Field(
        default=None,
        description="Count every message but the system's in the loss, as in pretraining. Default: false (assistant turns only).",
    )
    use_processed_dataset: bool | None = Field(
        default=None,
        description="The data set is tokenised already (input_ids, labels). Same as dataset.format: processed. Default: false.",
    )
    lr_scheduler: Scheduler | None = Field(
        default=None, description="Learning-rate schedule, by transformers' name. Default: cosine (the backend's)."
    )
    lr_scheduler_kwargs: dict[str, Any] | None = Field(
        default=None, description="Further arguments of the schedule, for instance min_lr_rate. Default: none."
    )
    osft_memory_efficient_init: bool | None = Field(
        default=None,
        description="Accepted for compatibility: loading the model on one rank only, which this asked for, is what mini-trainer "
        "now always does in a distributed run.",
    )
    save_final_checkpoint: bool | None = Field(
        default=None, description="Write a Hugging Face checkpoint after the last step. Default: true (the backend's)."
    )

    @model_validator(mode="after")
    def _leaves_a_checkpoint(self) -> Self:
        if self.save_final_checkpoint is False and not self.checkpoint_at_epoch:
            raise ValueError(
                "saveFinalCheckpoint is false and checkpointAtEpoch is not set: the run would end without a checkpoint; "
                "leave saveFinalCheckpoint out or set checkpointAtEpoch: true"
            )
        return self


PARAMETERS: dict[str, type[TrainingParameters]] = {"sft": SFTParameters, "osft": OSFTParameters}
"""Of the algorithms that have a kind of resource. The trainer itself asks the algorithm's class (kubetune_trainer.registry)."""
