"""The usage documents' examples, run for real on the CPU with models whose embeddings are tied."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from kubetune_trainer import create_algorithm, sft

pytestmark = pytest.mark.train


def test_sft_with_three_arguments(tiny_tied_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    result = sft(model_path=str(tiny_tied_model), data_path=str(tiny_data), ckpt_output_dir=str(tmp_path / "out"), device="cpu")
    assert result.reached_end
    assert (result.step, result.total_steps, len(result.losses)) == (1, 1, 1)  # 48 samples, the default batch of 128
    assert result.checkpoint is not None
    assert result.checkpoint.verified
    model = AutoModelForCausalLM.from_pretrained(result.checkpoint.uri, dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(tiny_tied_model, dtype=torch.float32)
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert not torch.equal(model.lm_head.weight, base.lm_head.weight)


def test_osft_by_the_factory(tiny_tied_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    osft = create_algorithm("osft", "mini-trainer")
    result = osft.train(
        model_path=str(tiny_tied_model),
        data_path=str(tiny_data),
        ckpt_output_dir=str(tmp_path / "out"),
        unfreeze_rank_ratio=0.25,
        batch_size=24,
        max_tokens_per_gpu=3072,
        max_seq_len=256,
        learning_rate=1.5e-3,
        num_epochs=2,
        device="cpu",
    )
    assert result.reached_end
    assert (result.step, result.total_steps) == (4, 4)
    assert result.losses[-1] < result.losses[0]
    assert result.checkpoint is not None
    assert result.checkpoint.verified
