"""Starts tests/support/raw_backend.py and says what the backend left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from raw_backend import AT_STEP_ENV, DO_ENV

SCRIPT = Path(__file__).with_name("raw_backend.py")
METRICS = {"sft": "training_params_and_metrics_global*.jsonl", "osft": "training_metrics_*.jsonl"}
STATES = {"sft": "full_state", "osft": "full_state_checkpoints"}
LOSS = {"sft": "avg_loss", "osft": "loss"}


@dataclass
class RawRun:
    """One call of run_training in a process of its own."""

    algorithm: str
    out: Path
    process: subprocess.Popen[str]
    log: Path
    before: int  # lines of metrics that an earlier run left in the same directory

    def end(self) -> RawRun:
        self.process.wait()
        return self

    @property
    def code(self) -> int:
        return self.process.returncode

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return metrics(self.algorithm, self.out)[self.before :]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if LOSS[self.algorithm] in line]

    @property
    def losses(self) -> list[float]:
        return [step[LOSS[self.algorithm]] for step in self.steps]

    @property
    def checkpoints(self) -> list[Path]:
        """The directories in hf_format, whatever is in them."""
        return sorted((self.out / "hf_format").glob("*"))

    @property
    def states(self) -> list[Path]:
        return sorted((self.out / STATES[self.algorithm]).glob("*"))

    def end_all(self) -> None:
        """For runs that would not end by themselves."""
        family = psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        for process in (*family, self.process):
            process.kill()
        self.process.wait()


def metrics(algorithm: str, out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(out.glob(METRICS[algorithm])) for line in file.read_text().splitlines()]


def start(
    algorithm: str,
    model: Path,
    data: Path,
    out: Path,
    *,
    torchrun: dict[str, Any] | None = None,
    at_step: tuple[int, str] | None = None,
    environment: dict[str, str] | None = None,
    **training: Any,
) -> RawRun:
    """`data`: messages for sft, whose backend tokenises; tokens for osft. `at_step`: once that step is done, "SIGTERM" is sent to the
    launcher, or the file of this name is made.
    """
    arguments = {**(sft_arguments if algorithm == "sft" else osft_arguments)(model, data, out), **training}
    ranks = {"nproc_per_node": 1, "nnodes": 1, "node_rank": 0, "rdzv_id": "1", **(torchrun or {})}
    happening = {AT_STEP_ENV: str(at_step[0]), DO_ENV: at_step[1]} if at_step else {}
    clean = {name: value for name, value in os.environ.items() if name not in (AT_STEP_ENV, DO_ENV)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean['PATH']}"  # torchrun is there, as in an activated environment
    ours = {"OMP_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": "1", "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200", "TESTING": "true"}
    out.mkdir(parents=True, exist_ok=True)
    log = out.parent / f"{out.name}-{ranks['node_rank']}.log"
    call = json.dumps({"algorithm": algorithm, "torchrun": ranks, "training": arguments})
    before = len(metrics(algorithm, out))
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), call],
            env={**clean, "PATH": path, **ours, **happening, **(environment or {})},
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
        )
    return RawRun(algorithm, out, process, log, before)


def run(*args: Any, **kwargs: Any) -> RawRun:
    """`start`, to its end."""
    return start(*args, **kwargs).end()


def sft_arguments(model: Path, data: Path, out: Path) -> dict[str, Any]:
    return {
        "model_path": str(model),
        "data_path": str(data),
        "ckpt_output_dir": str(out),
        "data_output_dir": str(out / "data"),
        "max_seq_len": 256,
        "max_batch_len": 512,
        "effective_batch_size": 8,
        "learning_rate": 1e-3,
        "disable_flash_attn": True,
        "data_process_num_cpu_procs": 1,
    }


def osft_arguments(model: Path, data: Path, out: Path) -> dict[str, Any]:
    return {
        "model_name_or_path": str(model),
        "data_path": str(data),
        "output_dir": str(out),
        "batch_size": 8,
        "max_tokens_per_gpu": 512,
        "learning_rate": 1e-3,
        "osft": True,
        "osft_unfreeze_rank_ratio": 0.3,
    }
