"""Records the run that the tests of the report read: a tiny OSFT job whose rank is killed once, then all of it, then a state damaged.

`OMP_NUM_THREADS=1 python tests/support/recorded_run.py` writes tests/unit/report/recorded anew: what a state directory holds, without
weights and tokens. It trains for real, for about a minute.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml
from tiny import make_tiny_model, write_messages

RECORDED = Path(__file__).parents[1] / "unit" / "report" / "recorded"
KUBETUNE = [sys.executable, "-m", "kubetune.cli"]

JOB = """
apiVersion: kubetune.dev/v1alpha1
kind: OSFTJob
metadata: {name: teach}
spec:
  model: {uri: pvc://tiny/tiny-llama}
  dataset: {uri: pvc://tiny/train.jsonl}
  output: {uri: pvc://runs}
  device: cpu
  checkpoint: {everySteps: 6, keep: 2, keepWeights: 1}
  training: {unfreezeRankRatio: 0.5, effectiveBatchSize: 64, maxSeqLen: 64, maxTokensPerGpu: 100, learningRate: 3.0e-3,
             warmupSteps: 6, lrScheduler: cosine, numEpochs: 5}
"""

KEPT = ("kubetune-*", "training_metrics_*.jsonl", "data-report.json")
"""Of a job's directory."""


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        prepare(home)
        record(home)
        shutil.rmtree(RECORDED, ignore_errors=True)
        copy(home / ".kubetune", RECORDED)


def prepare(home: Path) -> None:
    (home / "job.yaml").write_text(JOB)
    data = home / ".kubetune" / "volumes" / "tiny"
    make_tiny_model(data / "tiny-llama")
    write_messages(data / "train.jsonl", 768)  # 32 mini-batches a step: so long that there is something to see


def record(home: Path) -> None:
    """One attempt loses its rank, the next one everything, and the third finds the newest full state damaged."""
    run = start(home)
    wait_for(lambda: steps(home, 1) >= 21)
    kill(run, lambda process: process.cmdline()[2:4] == ["-m", "kubetune_trainer.launch.worker"])
    wait_for(lambda: steps(home, 2) >= 15)
    run.kill()
    run.wait()
    damage(home)
    if start(home).wait() != 0:
        raise SystemExit("the last run did not succeed")


def wait_for(look: Callable[[], bool], seconds: float = 600) -> None:
    """Looks often: a step takes some hundredths of a second."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise SystemExit("it did not come so far")
        time.sleep(0.01)


def start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*KUBETUNE, "run", "job.yaml"], cwd=home)


def job_dir(home: Path) -> Path:
    return next((home / ".kubetune" / "volumes" / "runs").iterdir())


def steps(home: Path, attempt: int) -> int:
    """Lines of the attempt's metrics."""
    files = list((home / ".kubetune").glob(f"volumes/runs/*/attempt-{attempt}/training_metrics_0.jsonl"))
    return files[0].read_text().count('"loss"') if files else 0


def kill(run: subprocess.Popen[bytes], chosen: Callable[[psutil.Process], bool]) -> None:
    for process in psutil.Process(run.pid).children(recursive=True):
        if chosen(process):
            process.send_signal(signal.SIGKILL)


def damage(home: Path) -> None:
    """One byte of the state that the next attempt would go on from."""
    root = job_dir(home)
    state = root / json.loads((root / "kubetune-last-good.json").read_text())["fullState"]["path"]
    largest = max((path for path in state.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open("r+b") as file:
        file.seek(largest.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))


def copy(state: Path, target: Path) -> None:
    """Small text files alone, in which the scratch directory is called /state."""
    job = yaml.safe_load(JOB)
    wanted = [state / "events.jsonl", state / "resources" / job["kind"].lower() / "default" / f"{job['metadata']['name']}.json"]
    wanted += [path for pattern in KEPT for path in (state / "volumes" / "runs").rglob(pattern) if "quarantine" not in path.parts]
    for path in wanted:
        if path.is_file():
            place = target / path.relative_to(state)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(path.read_text().replace(str(state), "/state"))


if __name__ == "__main__":
    main()
