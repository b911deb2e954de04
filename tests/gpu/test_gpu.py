"""The trainer on a machine with a GPU (`make test-gpu`): NCCL, CUDA, and flash attention where flash_attn is installed."""

from __future__ import annotations

import gc
import math
from dataclasses import replace
from pathlib import Path

import pytest
from backend_runs import BACKENDS, EPOCHS, STEPS_PER_EPOCH, Trained, plan, tokenize, train, weights
from tiny import make_tiny_model

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import CheckpointPolicy, FailureClass
from kubetune_trainer.errors import TrainingError

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(1200)]

TOTAL = EPOCHS * STEPS_PER_EPOCH
TOLERANCE = 2e-2
"""Relative, of a loss: the backends compute in bfloat16 (8 bits), and CUDA adds in no fixed order."""

LEFT_FREE = 64 * 2**20
"""Bytes: less than a CUDA context takes."""


@pytest.fixture(scope="session", autouse=True)
def devices() -> int:
    import torch

    count = torch.cuda.device_count()
    if not count:
        pytest.skip("no CUDA device here: these tests are for a machine with a GPU")
    return count


@pytest.fixture(scope="session", params=["sft", "osft", "lora_sft"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_data: Path) -> Trained:
    """One GPU, nine steps, every full state kept. OSFT on tied embeddings, which mini-trainer alone cannot save."""
    folder = tmp_path_factory.mktemp(request.param)
    model = make_tiny_model(folder / "qwen2", arch="qwen2", tied=True) if request.param == "osft" else tiny_model
    tokens = tokenize(tiny_data, tiny_model, folder / "tokens.jsonl")
    run = plan(request.param, model, tokens, folder / "run", checkpoint=CheckpointPolicy(every_steps=2, keep=9))
    return train(replace(run, device="gpu"))


def test_it_trains_and_saves(base: Trained) -> None:
    assert [step.step for step in base.steps] == list(range(1, TOTAL + 1))
    assert base.losses[TOTAL] < base.losses[1] - 0.3
    assert all(step.samples_per_second and step.time for step in base.steps)
    assert all(math.isfinite(float(tensor.float().norm())) for tensor in weights(base.final).values())


@pytest.mark.parametrize("step", [STEPS_PER_EPOCH, STEPS_PER_EPOCH + 1], ids=["epoch-end", "mid-epoch"])
def test_a_resumed_run_goes_on_with_the_next_step(base: Trained, step: int, tmp_path: Path) -> None:
    resumed = train(replace(base.run, output_dir=tmp_path / "run", resume_from=base.state(step)))
    expected = {number: loss for number, loss in base.losses.items() if number > step}
    assert resumed.losses == pytest.approx(expected, rel=TOLERANCE)
    assert [each.samples_seen for each in resumed.steps] == [each.samples_seen for each in base.steps[step:]]
    assert [each.learning_rate for each in resumed.steps] == [each.learning_rate for each in base.steps[step:]]


def test_two_gpus_train_what_one_does(base: Trained, devices: int, tmp_path: Path) -> None:
    if devices < 2:
        pytest.skip("one CUDA device: two are needed for NCCL")
    both = train(replace(base.run, output_dir=tmp_path / "run", torchrun=Torchrun(nproc_per_node=2)))
    assert both.losses == pytest.approx(base.losses, rel=5 * TOLERANCE)


def test_a_full_gpu_is_told_as_what_it_is(base: Trained, tmp_path: Path) -> None:
    """This process holds the GPU's memory while the ranks want some."""
    import torch

    free, _ = torch.cuda.mem_get_info(0)
    taken = torch.empty(free - LEFT_FREE, dtype=torch.uint8, device="cuda:0")
    try:
        with pytest.raises(TrainingError) as caught:
            BACKENDS[base.run.algorithm]().run(replace(base.run, output_dir=tmp_path / "run"))
    finally:
        del taken
        gc.collect()
        torch.cuda.empty_cache()
    assert caught.value.failure_class is FailureClass.CUDA_OOM, str(caught.value)
