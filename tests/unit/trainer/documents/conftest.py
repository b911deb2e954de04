"""The usage documents' examples run on the CPU, whatever the machine has: they give no device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_runs import free_port
from hub_scripts import Start
from tiny import conversation


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def places(tiny_tied_model: Path, tiny_data: Path, tmp_path: Path) -> dict[str, str]:
    """The three paths of every example."""
    return {"model_path": str(tiny_tied_model), "data_path": str(tiny_data), "ckpt_output_dir": str(tmp_path / "out")}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a script written for training_hub, with these names set at its head; instructlab-training's log lines stay whole."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, name: str = "script.py", **names: Any) -> subprocess.Popen[str]:
        head = "".join(f"{key} = {value!r}\n" for key, value in names.items())
        (tmp_path / name).write_text(head + script)
        command = [sys.executable, "-m", "kubetune_trainer.training_hub", name]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "1000"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes 24 conversations as a data set, each changed by `change`."""

    def make(change: Callable[[int, dict[str, Any]], Any], name: str = "data.jsonl") -> Path:
        rows = [conversation(i) for i in range(24)]
        for index, row in enumerate(rows):
            change(index, row)
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return make
