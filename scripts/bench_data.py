"""What the data check and the tokenising cost: seconds and peak memory, each phase in a process of its own.

python scripts/bench_data.py [--rows 1000000] [--tokenised-rows 20000]   (or `make bench-data`)
Prints a table in Markdown; docs/data.md holds one. Data and model are made on the spot in a temporary directory.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

WORDS = "the car number is red and nobody knows why it was painted that way in the first place"
"""Of a row's filling: rows of about a kilobyte."""


def conversation(i: int) -> dict[str, Any]:
    """Row i; one in fifty repeats an earlier one."""
    n = i - 1 if i % 50 == 49 else i
    system, question = {"role": "system", "content": "You are a helpful assistant."}, f"What of car number {n}? {WORDS * 3}"
    return {"messages": [system, {"role": "user", "content": question}, {"role": "assistant", "content": f"{n}: {WORDS * 6}"}]}


def tokenised(i: int) -> dict[str, Any]:
    tokens = [*(i >> k & 255 for k in range(0, 40, 2)), *range(80)]
    return {"input_ids": tokens, "labels": [-100] * 40 + tokens[40:]}


def document(i: int) -> dict[str, Any]:
    return {"document": f"{i}: {WORDS * 10}"}


def write_inputs(folder: Path, count: int, few: int) -> None:
    made = (
        ("messages", conversation, count),
        ("processed", tokenised, count),
        ("pretraining", document, count),
        ("few", conversation, few),
    )
    for name, make, number in made:
        with (folder / f"{name}.jsonl").open("w") as file:
            file.writelines(f"{json.dumps(make(i))}\n" for i in range(number))
    with (folder / "messages.jsonl").open("rb") as lines, gzip.open(folder / "messages.jsonl.gz", "wb", compresslevel=1) as file:
        shutil.copyfileobj(lines, file)
    with (folder / "messages.jsonl").open() as lines, (folder / "messages.json").open("w") as file:
        file.writelines("[,"[i > 0] + line for i, line in enumerate(lines))
        file.write("]\n")


def measure(folder: Path, phase: str, name: str, data_format: str) -> None:
    """In a child: does the phase and prints what it took."""
    from kubetune_trainer.data.survey import check_dataset

    started, path = memory(), folder / name
    begin, cpu = time.monotonic(), sum(os.times()[:4])
    survey = check_dataset(path, data_format)
    extra = f"{survey.duplicates} repeated{'' if survey.duplicates_exact else ' (estimated)'}"
    if phase != "preflight":
        from kubetune_trainer.data.conversations import backend_tokenizer
        from kubetune_trainer.data.tokenise import DataRequest, tokenise

        backend_tokenizer(folder / "model")  # imports and loading are not what is measured
        begin, cpu = time.monotonic(), sum(os.times()[:4])
        report = tokenise(
            DataRequest(path, survey, data_format, folder / "model", folder / phase, 4096, 4096, cache_dir=folder / "cache")
        )
        extra = f"{report.tokens} tokens{', from the cache' if report.reused else ''}"
    took = {"seconds": time.monotonic() - begin, "cpu": sum(os.times()[:4]) - cpu, "before": started, "peak": memory()}
    print(json.dumps({**took, "rows": survey.rows, "bytes": path.stat().st_size, "extra": extra}))


def memory() -> float:
    """This process's highest resident memory so far, MiB; the children that tokenise share most of it."""
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(own.split()[1]) / 1024


PHASES = (
    ("preflight", "messages.jsonl", "messages"),
    ("preflight", "messages.jsonl.gz", "messages"),
    ("preflight", "messages.json", "messages"),
    ("preflight", "processed.jsonl", "processed"),
    ("preflight", "pretraining.jsonl", "pretraining"),
    ("tokenise", "few.jsonl", "messages"),
    ("again", "few.jsonl", "messages"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="for the check")
    parser.add_argument("--tokenised-rows", type=int, default=20_000, help="for tokenising")
    given = parser.parse_args()
    from tiny import make_tiny_model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_tiny_model(folder / "model")
        write_inputs(folder, given.rows, given.tokenised_rows)
        print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n")
        print(
            "| phase | file | rows | MiB | seconds | CPU s | MiB before | MiB peak | found |\n|---|---|---|---|---|---|---|---|---|"
        )
        for phase in PHASES:
            command = [sys.executable, __file__, "--child", scratch, *phase]
            took = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
            size, seconds = took["bytes"] / 2**20, f"{took['seconds']:.1f} | {took['cpu']:.1f}"
            resident = f"{took['before']:.0f} | {took['peak']:.0f}"
            print(
                f"| {phase[0]} | {phase[1]} | {took['rows']:,} | {size:,.0f} | {seconds} | {resident} | {took['extra']} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main()
