"""A plan for the scripted backend. Data are tokenised already: tokenising has its own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import JOB, ScriptedBackend

from kubetune_trainer.parameters import SFTParameters
from kubetune_trainer.run import RunPlan


@pytest.fixture(scope="session", autouse=True)
def _no_decompositions_in_the_users_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KUBETUNE_SVD_CACHE", str(tmp_path_factory.mktemp("svd")))
        yield


@pytest.fixture(scope="module")
def processed_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "processed.jsonl"
    path.write_text((json.dumps({"input_ids": [5] * 30, "labels": [-100] + [5] * 29}) + "\n") * 40)
    return path


@pytest.fixture
def plan_of(tiny_model: Path, processed_rows: Path, tmp_path: Path) -> Any:
    def make(backend: ScriptedBackend | None = None, **more: Any) -> RunPlan:
        given = {
            "algorithm": "sft",
            "backend": backend or ScriptedBackend(),
            "model": str(tiny_model),
            "dataset": str(processed_rows),
            "dataset_format": "processed",
            "output_dir": tmp_path / "job" / "attempt-1",
            "output_uri": "pvc://runs/job/attempt-1",
            "parameters": SFTParameters(num_epochs=2, effective_batch_size=8),
            "device": "cpu",
            "job": JOB,
            "poll_interval": 0.01,
            "report_interval": 0.0,
        }
        return RunPlan(**{**given, **more})

    return make
