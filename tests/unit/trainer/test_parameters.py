"""Both usage documents' parameters, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import PARAMETERS, SFT_DEFAULTS, OSFTParameters, SFTParameters

OSFT = {
    "unfreeze_rank_ratio": 0.3,
    "effective_batch_size": 16,
    "max_tokens_per_gpu": 2048,
    "max_seq_len": 2048,
    "learning_rate": 2e-5,
}

DOCUMENTED = {
    "sft": "num_epochs effective_batch_size learning_rate max_seq_len max_tokens_per_gpu data_output_dir save_samples warmup_steps "
    "accelerate_full_state_at_epoch checkpoint_at_epoch",
    "osft": "unfreeze_rank_ratio effective_batch_size max_tokens_per_gpu max_seq_len learning_rate target_patterns use_processed_dataset "
    "unmask_messages num_epochs seed use_liger osft_memory_efficient_init lr_scheduler warmup_steps lr_scheduler_kwargs "
    "checkpoint_at_epoch save_final_checkpoint",
}
"""The parameter references of docs, but for places (model_path ...) and torchrun's."""


@pytest.mark.parametrize("algorithm", PARAMETERS)
def test_every_documented_parameter_is_there_and_described(algorithm: str):
    fields = PARAMETERS[algorithm].model_fields

    assert set(DOCUMENTED[algorithm].split()) <= set(fields)
    assert all(field.description for field in fields.values())


def test_what_is_required():
    assert [name for name, field in SFTParameters.model_fields.items() if field.is_required()] == []
    assert {name for name, field in OSFTParameters.model_fields.items() if field.is_required()} == set(OSFT)
    assert SFTParameters().given() == {}
    assert OSFTParameters(**OSFT).given() == OSFT


def test_camel_case_and_python_names_mean_the_same():
    assert SFTParameters.model_validate({"maxSeqLen": 64}) == SFTParameters(max_seq_len=64)
    assert SFTParameters(max_seq_len=64).model_dump(by_alias=True, exclude_none=True) == {"maxSeqLen": 64}


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("osft", {"unfreeze_rank_ratio": 1.5}),
    ("osft", {"unfreeze_rank_ratio": -0.1}),
    ("osft", {"unfreeze_rank_ratio": float("nan")}),
    ("osft", {"learning_rate": 0}),
    ("osft", {"learning_rate": 2}),
    ("osft", {"effective_batch_size": 0}),
    ("osft", {"effective_batch_size": 2**31}),
    ("osft", {"lr_scheduler": "reduce_lr_on_plateau"}),
    ("osft", {"target_patterns": []}),
    ("osft", {"target_patterns": [""]}),
    ("osft", {"save_final_checkpoint": False}),
    ("osft", {"unknown": 1}),
    ("osft", {"save_samples": 1}),
    ("sft", {"unfreeze_rank_ratio": 0.3}),
    ("sft", {"num_epochs": 0}),
    ("sft", {"warmup_steps": -1}),
    ("sft", {"seed": -1}),
    ("sft", {"max_seq_len": 100, "max_tokens_per_gpu": 99}),
    ("sft", {"checkpoint_at_epoch": False}),
    ("sft", {"checkpoint_at_epoch": False, "save_samples": 0}),
]


@pytest.mark.parametrize(("algorithm", "change"), REFUSED)
def test_refused(algorithm: str, change: dict[str, Any]):
    with pytest.raises(ValidationError):
        PARAMETERS[algorithm](**((OSFT if algorithm == "osft" else {}) | change))


def test_allowed():
    OSFTParameters(**OSFT | {"max_tokens_per_gpu": 64})  # less than max_seq_len: there the data decides
    OSFTParameters(**OSFT | {"save_final_checkpoint": False, "checkpoint_at_epoch": True})
    OSFTParameters(**OSFT | {"unfreeze_rank_ratio": 0, "lr_scheduler": "linear"})
    OSFTParameters(**OSFT | {"unfreeze_rank_ratio": 1})
    SFTParameters(max_seq_len=100, max_tokens_per_gpu=100)
    SFTParameters(checkpoint_at_epoch=False, save_samples=10)


def test_our_defaults_are_valid_and_only_where_the_backend_has_none():
    assert SFTParameters(**SFT_DEFAULTS).given() == SFT_DEFAULTS
    assert set(SFT_DEFAULTS) == {"effective_batch_size", "learning_rate", "max_seq_len"}


def test_what_a_backend_is_given():
    def sft(positions: int | None, **given: Any) -> tuple[int, int]:
        filled = SFTParameters(**given).filled(positions)
        return filled["max_seq_len"], filled["max_tokens_per_gpu"]

    assert sft(None) == (4096, 4096)
    assert sft(131072) == (4096, 4096)
    assert sft(2048) == (2048, 2048)
    assert sft(2048, max_seq_len=3000) == (3000, 3000)  # the user's word stands
    assert sft(None, max_tokens_per_gpu=1000) == (1000, 1000)
    assert sft(None, max_seq_len=100, max_tokens_per_gpu=1000) == (100, 1000)
    assert OSFTParameters(**OSFT).filled(64) == OSFT


def test_the_last_step_must_be_saved():
    refused = {"checkpoint_at_epoch": False, "save_samples": 16, "num_epochs": 3}
    SFTParameters(**refused).check_samples(32)
    SFTParameters(**refused | {"checkpoint_at_epoch": True}).check_samples(33)
    SFTParameters(save_samples=16).check_samples(33)
    OSFTParameters(**OSFT).check_samples(33)
    with pytest.raises(ConfigurationError, match="3 epochs of 33 samples") as caught:
        SFTParameters(**refused).check_samples(33)
    assert caught.value.field == "save_samples"
