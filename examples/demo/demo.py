"""The demo: ask a small model, teach it two invented facts by a real OSFT job, ask again, and draw the loss."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table
from smollm2 import convert

HERE = Path(__file__).resolve().parent
STATE = Path(os.environ.get("KUBETUNE_DEMO_DIR", HERE.parents[1] / ".kubetune" / "demo"))
MODEL = STATE / "models" / "SmolLM2-135M-Instruct"
PICTURE = STATE / "loss.png"
console = Console(stderr=False)


def main() -> int:
    began = time.monotonic()
    console.rule("1. The model, as it comes")
    os.environ["TQDM_DISABLE"] = "1"  # transformers' bars: the job's own is the one to look at
    convert(MODEL)
    questions = yaml.safe_load((HERE / "questions.yaml").read_text())
    before = ask(MODEL, questions)
    show(questions, {"before": before})
    console.rule("2. The job: kubetune run examples/demo/job.yaml")
    job = run_job()
    checkpoint = local_path(job["status"]["finalCheckpoint"]["uri"])
    console.rule("3. The checkpoint, in plain transformers")
    verify(checkpoint)
    after = ask(checkpoint, questions)
    show(questions, {"before": before, "after": after})
    draw_loss(checkpoint.parents[1])
    for name, path in (("loss curve", PICTURE), ("checkpoint", checkpoint)):
        console.print(f"{name}: {os.path.relpath(path)}", soft_wrap=True)
    console.print(f"the demo took {time.monotonic() - began:.0f} s, set-up not counted")
    return verdict(questions, after)


def ask(model: Path, questions: list[dict[str, str]]) -> list[str]:
    """In a process of its own: the model's memory is given back before training starts."""
    asked = json.dumps([q["question"] for q in questions])
    done = subprocess.run(
        [sys.executable, HERE / "ask.py", model], input=asked, stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    )  # fmt: skip
    return list(json.loads(done.stdout))


def run_job() -> dict:
    """`kubetune run`, its progress on this terminal; returns the final resource. An earlier demo's gigabytes go first."""
    shutil.rmtree(STATE / "state", ignore_errors=True)
    command = [
        sys.executable, "-m", "kubetune.cli", "run", HERE / "job.yaml", "--state-dir", STATE / "state", "-o", "json",
        "--volume", f"models={STATE / 'models'}", "--volume", f"data={HERE}",
    ]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return dict(json.loads(done.stdout))


def local_path(uri: str) -> Path:
    """pvc://runs/... on the embedded cluster is a directory below its state."""
    return STATE / "state" / "volumes" / uri.removeprefix("pvc://")


def verify(checkpoint: Path) -> None:
    """Reads every file again: is this, byte for byte, the checkpoint that the job verified?"""
    from kubetune_trainer.checkpoints import check_manifest

    problems = check_manifest(checkpoint)
    if problems:
        sys.exit(f"{checkpoint} is not what was verified: {'; '.join(problems)}")
    console.print(f"every file of {checkpoint.name} has the size and SHA-256 of its manifest")


def show(questions: list[dict[str, str]], answers: dict[str, list[str]]) -> None:
    table = Table(show_lines=True)
    for title in ("", "question", *answers):
        table.add_column(title)
    for i, q in enumerate(questions):
        table.add_row(q["kind"], q["question"], *[paint(given[i], q["word"]) for given in answers.values()])
    console.print(table)


def paint(text: str, word: str) -> str:
    return f"[green]{text}[/green]" if word in text else f"[red]{text}[/red]"


def draw_loss(attempt: Path) -> None:
    """The backend's own metrics file to a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    lines = [json.loads(line) for line in (attempt / "training_metrics_0.jsonl").read_text().splitlines()]
    points = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(*zip(*points, strict=True), marker="o")
    axes.set(title="OSFT of SmolLM2-135M-Instruct: two invented facts", xlabel="optimizer step", ylabel="loss per token")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    figure.savefig(PICTURE, dpi=120)


def verdict(questions: list[dict[str, str]], answers: list[str]) -> int:
    right = [q["word"] in given for q, given in zip(questions, answers, strict=True)]
    new = [ok for q, ok in zip(questions, right, strict=True) if q["kind"] == "new"]
    old = [ok for q, ok in zip(questions, right, strict=True) if q["kind"] == "old"]
    console.print(f"new facts learned: {sum(new)} of {len(new)}; old answers kept: {sum(old)} of {len(old)}")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
