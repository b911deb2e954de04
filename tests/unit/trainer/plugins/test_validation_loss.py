import json
from pathlib import Path
from typing import Any

import pytest
from instructlab.training import sampler

from kubetune_trainer.plugins import validation_loss

RANKS, SAMPLES, LENGTH = 2, 12, 30


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "get_data_loader", sampler.get_data_loader)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    row = {"input_ids": list(range(LENGTH)), "labels": list(range(LENGTH)), "len": LENGTH}
    path = tmp_path / "data.jsonl"
    path.write_text((json.dumps(row) + "\n") * SAMPLES)
    return path


def loaders(data: Path, rank: int) -> tuple[Any, Any]:
    """As main_ds.py asks for them."""
    return sampler.get_data_loader(
        data_path=str(data),
        batch_size=4,
        max_tokens_per_gpu=64,
        seed=1,
        rank=rank,
        world_size=RANKS,
        num_workers=0,
        flash_enabled=False,
        validation_split=0.5,
    )


def counted(data: Path, which: int) -> int:
    """What the backend divides by: over all batches and ranks."""
    return sum(batch[0]["batch_num_loss_counted_tokens"] for rank in range(RANKS) for batch in loaders(data, rank)[which])


def test_each_held_out_token_is_counted_once_and_not_once_a_rank(data: Path) -> None:
    tokens = SAMPLES // 2 * LENGTH
    train, held_out = counted(data, 0), counted(data, 1)
    assert held_out == RANKS * tokens, "the backend no longer needs this plug-in"
    validation_loss.install()
    assert counted(data, 1) == tokens
    assert counted(data, 0) == train


def test_without_held_out_samples_there_is_nothing_to_change(data: Path) -> None:
    validation_loss.install()
    _, held_out = sampler.get_data_loader(
        data_path=str(data), batch_size=4, max_tokens_per_gpu=64, seed=1, rank=1, world_size=RANKS, flash_enabled=False
    )
    assert held_out is None
