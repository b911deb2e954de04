"""What kubetune costs a training: the same job by the backend alone and by kubetune's entrypoint, one after the other.

python scripts/bench_trainer.py [--seconds 120] [--rounds 2] [--algorithm sft] [--write docs/bench-trainer.md]
(or `make bench-trainer`; 23 minutes by default). One process on the CPU, one thread; model and data are made on the spot.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

BATCH, LENGTH, RATIO = 8, 128, 0.5
PROBE_STEPS, SHORTEST = 4, 6
SAMPLE_SECONDS = 0.5
TARGET = 1.02
METRICS = {"sft": "training_params_and_metrics_global0.jsonl", "osft": "training_metrics_0.jsonl"}
BACKENDS = {"sft": "instructlab-training", "osft": "mini-trainer"}
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Took:
    """One run: seconds from the start of its process, MiB of its whole tree."""

    tokenised: float  # torchrun is started: imports, checks and tokenising lie before it
    ranks: float  # the rank's process is started
    steps: dict[int, float]  # step to when it was logged
    peak: float
    rank_peak: float

    @property
    def first(self) -> float:
        return self.steps[1]

    def last(self, step: int) -> float:
        return self.steps[step]

    def pace(self, step: int) -> float:
        return (self.last(step) - self.first) / (step - 1)


def raw(algorithm: str, folder: Path, data: Path, out: Path) -> None:
    """In a child: the backend called as its own documentation says, by the launcher that lets it run on a CPU."""
    from kubetune_trainer.backends.base import Torchrun
    from kubetune_trainer.launch.command import Launch
    from kubetune_trainer.launch.run import launch_training

    if algorithm == "sft":
        from instructlab.training import main_ds
        from instructlab.training.config import FSDPOptions, ShardingStrategies
        from instructlab.training.config import TorchrunArgs as SFTTorchrun
        from instructlab.training.config import TrainingArgs as SFTArgs

        arguments = SFTArgs(
            model_path=str(folder / "model"),
            data_path=str(data),
            data_output_dir=str(out / "data"),
            ckpt_output_dir=str(out),
            max_seq_len=LENGTH,
            max_batch_len=BATCH * LENGTH,
            effective_batch_size=BATCH,
            learning_rate=1e-4,
            data_process_num_cpu_procs=1,
            accelerate_full_state_at_epoch=False,
            disable_flash_attn=True,
            fsdp_options=FSDPOptions(sharding_strategy=ShardingStrategies.FULL_SHARD),
        )
        torchrun = SFTTorchrun(nproc_per_node=1, nnodes=1, node_rank=0, rdzv_id="0")
        # its eight loaders a rank compete with a training on a CPU: kubetune has none there, and so has this
        launch = Launch(Torchrun(), out / "logs", "cpu", {"loader_workers": {"count": 0}})
        launch_training(main_ds, lambda: main_ds.run_training(torchrun, arguments), launch)
        return
    from instructlab.training.data_process import process_messages_into_input_ids
    from mini_trainer import api_train
    from mini_trainer.training_types import TorchrunArgs, TrainingArgs

    process_messages_into_input_ids(str(data), str(out / "data"), LENGTH, str(folder / "model"), 1)
    given = TrainingArgs(
        model_name_or_path=str(folder / "model"),
        data_path=str(out / "data" / "data.jsonl"),
        output_dir=str(out),
        batch_size=BATCH,
        max_tokens_per_gpu=BATCH * LENGTH,
        learning_rate=1e-4,
        osft=True,
        osft_unfreeze_rank_ratio=RATIO,
    )
    launch = Launch(Torchrun(), out / "logs", "cpu", {}, {"TESTING": "true"})
    launch_training(api_train, lambda: api_train.run_training(TorchrunArgs(nproc_per_node=1), given), launch)


def contract(algorithm: str, folder: Path, data: Path, out: Path) -> dict[str, Any]:
    """The same job for kubetune's entrypoint."""
    training = {"effective_batch_size": BATCH, "max_seq_len": LENGTH, "max_tokens_per_gpu": BATCH * LENGTH, "learning_rate": 1e-4}
    return {
        "job": {"kind": "Job", "namespace": "bench", "name": "job", "uid": "u", "specHash": "h"},
        "attempt": 1,
        "algorithm": algorithm,
        "backend": BACKENDS[algorithm],
        "model": str(folder / "model"),
        "dataset": str(data),
        "output": str(out),
        "outputUri": str(out),
        "device": "cpu",
        "training": training | ({"unfreeze_rank_ratio": RATIO} if algorithm == "osft" else {}),
    }


def run(who: str, algorithm: str, folder: Path, data: Path, out: Path) -> Took:
    """Runs it in a process of its own and watches that from outside."""
    out.mkdir(parents=True)
    environment = {**os.environ, **ENVIRONMENT}
    command = [sys.executable, __file__, "--raw", algorithm, str(folder), str(data), str(out)]
    metrics = out / METRICS[algorithm]
    if who == "kubetune":
        document = json.dumps(contract(algorithm, folder, data, out))
        ends = {"KUBETUNE_TERMINATION_LOG": str(out / "outcome"), "KUBETUNE_REPORT_FILE": str(out / "report")}
        environment |= {"KUBETUNE_CONTRACT": document, **ends}
        command = [sys.executable, "-m", "kubetune_trainer.entrypoint"]
        metrics = out / "attempt-1" / METRICS[algorithm]
    begin = time.time()
    with (out / "output").open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        watch = Watch(process.pid)
        watch.start()
        code = process.wait()
        watch.join()
    if code:
        raise SystemExit(f"{who}, {algorithm}: exit code {code}\n{(out / 'output').read_text()[-3000:]}")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps = {line["step"]: datetime.fromisoformat(line["timestamp"]).timestamp() - begin for line in lines if "step" in line}
    started = watch.started
    return Took(started["launch.agent"] - begin, started["launch.worker"] - begin, steps, watch.peak, watch.rank_peak)


class Watch(threading.Thread):
    """Proportional set size (pages shared by several processes count once) of a process and all below it, twice a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.peak = self.rank_peak = 0.0
        self.started: dict[str, float] = {}

    def run(self) -> None:
        while psutil.pid_exists(self.pid):
            try:
                process = psutil.Process(self.pid)
                if process.status() == psutil.STATUS_ZOMBIE:
                    return
                self._look([process, *process.children(recursive=True)])
            except psutil.NoSuchProcess:
                continue
            time.sleep(SAMPLE_SECONDS)

    def _look(self, tree: list[psutil.Process]) -> None:
        whole = 0.0
        for process in tree:
            size, command = process.memory_full_info().pss / 2**20, " ".join(process.cmdline())
            whole += size
            if "RANK" in process.environ() and "launch.worker" in command:
                self.rank_peak = max(self.rank_peak, size)
                self.started.setdefault("launch.worker", process.create_time())
            elif "launch.agent" in command:
                self.started.setdefault("launch.agent", process.create_time())
        self.peak = max(self.peak, whole)


def make_model(folder: Path) -> None:
    """A llama of 25 million parameters, with the tests' tokenizer."""
    import torch
    from tiny import make_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=512,
        intermediate_size=1376,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def compare(algorithm: str, folder: Path, seconds: float, rounds: int) -> str:
    """Raw, kubetune, kubetune, raw ...: what the machine does meanwhile hits both."""
    from tiny import write_messages

    probe = write_messages(folder / "probe.jsonl", PROBE_STEPS * BATCH)
    probed = run("raw", algorithm, folder, probe, folder / f"{algorithm}-probe")
    seen = max(probed.steps)
    count = max(SHORTEST, math.ceil(seconds / probed.pace(seen)))
    data = write_messages(folder / f"{algorithm}.jsonl", count * BATCH)
    runs: dict[str, list[Took]] = {"raw": [], "kubetune": []}
    for number in range(rounds):
        for who in ("raw", "kubetune") if number % 2 == 0 else ("kubetune", "raw"):
            print(f"{algorithm}: {who}, round {number + 1}, {count} steps", file=sys.stderr, flush=True)
            runs[who].append(run(who, algorithm, folder, data, folder / f"{algorithm}-{who}-{number}"))
    last = min(max(took.steps) for each in runs.values() for took in each)  # raw may lose the line of its last step
    return table(algorithm, runs, last)


def table(algorithm: str, runs: dict[str, list[Took]], last: int) -> str:
    """Means over the rounds, and kubetune's over raw's."""
    figures = {
        f"wall time to step {last}, s (target {TARGET})": lambda took: took.last(last),
        "start-up: to the first step, s": lambda took: took.first,
        "- imports, checks, tokenising, until torchrun, s": lambda took: took.tokenised,
        "- torchrun until the rank starts, s": lambda took: took.ranks - took.tokenised,
        "- rank: imports, model, SVD, first step, s": lambda took: took.first - took.ranks,
        "seconds a step, after the first": lambda took: took.pace(last),
        f"peak memory of all processes, MiB (target {TARGET})": lambda took: took.peak,
        "- of the rank alone, MiB": lambda took: took.rank_peak,
    }
    lines = [f"### {algorithm} ({BACKENDS[algorithm]})", "", "| | raw | kubetune | ratio | single runs |", "|---|---|---|---|---|"]
    for name, figure in figures.items():
        raw_values, ours = ([figure(took) for took in runs[who]] for who in ("raw", "kubetune"))
        means = statistics.mean(raw_values), statistics.mean(ours)
        single = "; ".join(", ".join(f"{value:.2f}" for value in values) for values in (raw_values, ours))
        lines.append(f"| {name} | {means[0]:.2f} | {means[1]:.2f} | {means[1] / means[0]:.3f} | {single} |")
    return "\n".join([*lines, ""])


PAGE = """# What kubetune costs a training

`make bench-trainer` writes this page. The same job, one epoch, by the backend alone (called as its documentation says, by the
launcher that lets it run on a CPU) and by kubetune's entrypoint with everything that is on by default (checks, monitor, reports,
verification, OSFT's cache of decompositions, empty at first). The order of the runs alternates. Times are the backends' own time
stamps of the steps. Memory is the sum of the proportional set sizes of the process and all below it, sampled every {sample} s.
A llama of 25 million parameters, {batch} samples a step, one process, one thread, no GPU.

{machine}

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120, help="of training, as the raw backend takes it")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each")
    parser.add_argument("--algorithm", choices=tuple(BACKENDS), action="append", help="default: both")
    parser.add_argument("--write", type=Path, help="the page to write")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    machine = f"{cores} cores, load {os.getloadavg()[0]:.1f} before, Python {platform.python_version()}, {datetime.now():%Y-%m-%d}."  # noqa: DTZ005 - the day here
    page = PAGE.format(sample=SAMPLE_SECONDS, batch=BATCH, machine=machine)
    with tempfile.TemporaryDirectory() as scratch:
        make_model(Path(scratch) / "model")
        for algorithm in given.algorithm or BACKENDS:
            result = compare(algorithm, Path(scratch), given.seconds, given.rounds)
            print(result, flush=True)
            page += result + "\n"
    if given.write:
        given.write.write_text(page.rstrip() + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--raw"]:
        raw(sys.argv[2], *map(Path, sys.argv[3:]))
    else:
        main()
