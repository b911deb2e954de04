"""What only lora_sft has: dropout in a resumed run of two ranks, and the adapter beside the merged model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from backend_runs import Trained, plan, train, weights

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.checkpoints.adapter import verify_adapter
from kubetune_trainer.contract import CheckpointPolicy

pytestmark = pytest.mark.train
MINIBATCHES = {"max_tokens_per_gpu": 130, "lora_dropout": 0.2}  # several a step


def test_a_resumed_run_of_two_ranks_with_dropout_is_the_undisturbed_one(lora_sft_run: Trained, tmp_path: Path) -> None:
    run, two = lora_sft_run.run, Torchrun(nproc_per_node=2)
    policy = CheckpointPolicy(every_epoch=False, every_steps=4, keep=9)

    def go(name: str, resume_from: Path | None = None) -> Trained:
        out = tmp_path / name
        return train(
            plan(
                "lora_sft",
                run.model_dir,
                run.data_file,
                out,
                torchrun=two,
                checkpoint=policy,
                resume_from=resume_from,
                **MINIBATCHES,
            )
        )

    whole = go("whole")
    assert whole.losses != pytest.approx(lora_sft_run.losses, rel=1e-3)  # dropout was on
    resumed = go("resumed", whole.state(4))
    assert resumed.losses == {step: loss for step, loss in whole.losses.items() if step > 4}
    old, new = weights(whole.final), weights(resumed.final)
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_the_merged_model_is_the_base_model_with_the_adapter(lora_sft_run: Trained) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    adapters = [c for c in lora_sft_run.found if c.kind == "adapter"]
    assert [(c.step, c.path.name) for c in adapters] == [(3, "samples_48"), (6, "samples_96"), (9, "samples_144")]
    assert all(verify_adapter(c.path, lora_sft_run.run.model_dir) == [] for c in adapters)
    base = AutoModelForCausalLM.from_pretrained(lora_sft_run.run.model_dir)
    merged = AutoModelForCausalLM.from_pretrained(lora_sft_run.final)
    tokens = torch.arange(30).unsqueeze(0)
    with torch.no_grad():
        before = base(tokens).logits
        adapted = PeftModel.from_pretrained(base, str(adapters[-1].path))(tokens).logits
        assert torch.allclose(merged(tokens).logits, adapted, atol=1e-5)
    assert not torch.allclose(before, adapted, atol=1e-2)


def test_only_the_adapted_layers_differ_from_the_base_model(lora_sft_run: Trained) -> None:
    before, after = weights(lora_sft_run.run.model_dir), weights(lora_sft_run.final)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {name for name in after if name.endswith("_proj.weight")}
