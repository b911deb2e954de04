"""LoRA (arXiv:2106.09685): supervised fine-tuning of small matrices beside the frozen weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from kubetune_trainer.api import TrainingAlgorithm
from kubetune_trainer.contract import WeightsKind
from kubetune_trainer.parameters import Count, Pattern, Positive, Scheduler, TrainingParameters, with_lengths

if TYPE_CHECKING:
    from kubetune_trainer.checkpoints import Verifier

DEFAULTS: dict[str, Any] = {
    "num_epochs": 1,
    "effective_batch_size": 16,
    "learning_rate": 2e-4,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.0,
    "checkpoint_at_epoch": True,
    "merge_adapter": False,
}
"""Batch and rate are those of QLoRA for models of up to 13B (arXiv:2305.14314, appendix B); rank, alpha and dropout those of
training_hub's lora_sft. One epoch as the other algorithms here: transformers' own default is three."""


class LoRASFTParameters(TrainingParameters):
    """Supervised fine-tuning of low-rank adapters by trl and peft; no field is required.

    Each GPU holds the whole base model (data parallel, no sharding), in the type that it is stored in.
    """

    lora_r: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        description="Rank of the adapters: a matrix of n x m gets r x (n + m) trained weights. 8 to 64 is usual. Default: 16.",
    )
    lora_alpha: Count | None = Field(
        default=None,
        description="Scale of the adapters: what they add is multiplied by alpha / r (arXiv:2106.09685, section 4.1). Default: 32.",
    )
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="Share of an adapter's inputs that is dropped in training. Default: 0."
    )
    target_modules: Annotated[list[Pattern], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Names (or ends of names, as q_proj) of the linear layers that get an adapter. Default: all but the output "
        "layer, which does as well as full fine-tuning where attention alone does not (arXiv:2305.14314, section 4).",
    )
    merge_adapter: bool | None = Field(
        default=None,
        description="At the end also write the base model with the adapter merged into it: a plain Hugging Face model, in the base "
        "model's type. Default: false (the adapter alone).",
    )
    load_in_4bit: bool | None = Field(
        default=None, description="QLoRA. Refused: bitsandbytes, which it needs, is neither installed nor tested. Default: false."
    )
    load_in_8bit: bool | None = Field(default=None, description="Refused, as load_in_4bit. Default: false.")
    effective_batch_size: Count | None = Field(default=None, description="Samples an optimizer step, over all GPUs. Default: 16.")
    learning_rate: Positive | None = Field(
        default=None, description="Peak learning rate of AdamW. About ten times that of full fine-tuning is usual. Default: 2e-4."
    )
    max_seq_len: Count | None = Field(
        default=None,
        description="Longest sample in tokens: those of this length or more are left out and counted. Default: 4096, or the "
        "model's max_position_embeddings where that is smaller.",
    )
    max_tokens_per_gpu: Count | None = Field(
        default=None,
        description="Tokens of a mini-batch on one GPU, padding to the longest sample included: the cap on memory. Gradient "
        "accumulation makes up effectiveBatchSize. Default: maxSeqLen.",
    )
    lr_scheduler: Scheduler | None = Field(
        default=None, description="Learning-rate schedule, by transformers' name. Default: linear (transformers')."
    )
    lr_scheduler_kwargs: dict[str, Any] | None = Field(
        default=None, description="Further arguments of the schedule, for instance min_lr_rate. Default: none."
    )
    unmask_messages: bool | None = Field(
        default=None,
        description="Count every message but the system's in the loss, as in pretraining. Default: false (assistant turns only).",
    )
    use_processed_dataset: bool | None = Field(
        default=None,
        description="The data set is tokenised already (input_ids, labels). Same as dataset.format: processed. Default: false.",
    )
    num_epochs: Count | None = Field(default=None, description="Passes over the data set. Default: 1.")
    checkpoint_at_epoch: bool | None = Field(
        default=None, description="Write the adapter at the end of each epoch, not only of the last. Default: true."
    )
    use_liger: bool | None = Field(
        default=None,
        description="Refused: trl 1.16 is about to drop Liger's kernels, and fuses the output layer itself. Default: false.",
    )

    @property
    def owed_kind(self) -> WeightsKind:
        """The merged model where it was asked for, else the adapter."""
        return "hf" if self.merge_adapter else "adapter"

    def filled(self, max_positions: int | None) -> dict[str, Any]:
        """See TrainingParameters.filled."""
        return with_lengths(DEFAULTS | self.given(), self.given(), max_positions)

    @model_validator(mode="after")
    def _not_quantised(self) -> Self:
        for field in ("load_in_4bit", "load_in_8bit"):
            if getattr(self, field):
                name = to_camel(field)
                raise ValueError(
                    f"{name} is true: a quantised base model (QLoRA) needs bitsandbytes, which this image does not have; "
                    f"leave {name} out, and lower maxTokensPerGpu if memory is short"
                )
        return self

    @model_validator(mode="after")
    def _without_liger(self) -> Self:
        if self.use_liger:
            raise ValueError("useLiger is true: trl is about to drop Liger's kernels; leave useLiger out")
        return self


class LoRASFT(TrainingAlgorithm):
    """Supervised fine-tuning of low-rank adapters beside the frozen weights (LoRA, arXiv:2106.09685)."""

    name: ClassVar[str] = "lora_sft"
    parameters: ClassVar[type[TrainingParameters]] = LoRASFTParameters

    def verifiers(self) -> Mapping[str, Verifier]:
        """Adapters are read back too."""
        from kubetune_trainer.checkpoints.adapter import verify_adapter

        return {**super().verifiers(), "adapter": verify_adapter}
