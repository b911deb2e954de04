import json
from pathlib import Path

import pytest
from instructlab.training import sampler

from kubetune_trainer.plugins import loader_workers


def test_the_loader_gets_as_many_processes_as_asked_for_whatever_the_backend_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "get_data_loader", sampler.get_data_loader)
    loader_workers.install(count=0)
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"input_ids": [1, 2, 3], "labels": [1, 2, 3], "len": 3}) + "\n")
    loader, _ = sampler.get_data_loader(
        data_path=str(data), batch_size=1, max_tokens_per_gpu=8, seed=1, rank=0, world_size=1, num_workers=8, flash_enabled=False
    )
    assert loader.num_workers == 0
    assert len(list(loader)) == 1
