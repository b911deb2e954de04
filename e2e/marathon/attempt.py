"""One attempt as the operator starts it, `python -m kubetune_trainer.entrypoint`, and what is done to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil

from e2e.marathon.models import Case
from kubetune_trainer.checkpoints.ledger import read_ledger
from kubetune_trainer.contract import CONTRACT_ENV, TERMINATION_LOG_ENV, CheckpointPolicy, Contract, JobIdentity, Outcome

LONGEST = 3600.0  # seconds; an attempt that takes longer hangs


@dataclass(frozen=True)
class Inputs:
    """What all attempts of a case share."""

    case: Case
    model: Path
    data: Path
    svd_cache: Path


@dataclass
class Attempt:
    """Of the job whose directory is `job`."""

    inputs: Inputs
    job: Path
    number: int
    checkpoint: CheckpointPolicy
    process: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        return self.job / f"attempt-{self.number}"

    @property
    def step(self) -> int:
        """The last one that the backend logged; 0 before the first."""
        lines = [line for file in self.directory.glob("training_*metrics*.jsonl") for line in file.read_text().splitlines()]
        steps = []
        for line in lines:
            try:
                steps.append(json.loads(line).get("step", 0))
            except ValueError:
                continue
        return max(steps, default=0)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        contract = Contract(
            job=JobIdentity(
                kind="Marathon", namespace="e2e", name=self.inputs.case.name, uid=self.inputs.case.name, spec_hash="0" * 64
            ),
            attempt=self.number,
            algorithm=self.inputs.case.algorithm,
            backend=self.inputs.case.backend,
            model=str(self.inputs.model),
            dataset=str(self.inputs.data),
            output=str(self.job),
            output_uri=str(self.job),
            device="cpu",
            training=self.inputs.case.training,
            checkpoint=self.checkpoint,
            grace_seconds=LONGEST,
        )
        environment = {
            **os.environ,
            CONTRACT_ENV: contract.to_json(),
            TERMINATION_LOG_ENV: str(self.job / f"outcome-{self.number}.json"),
            "KUBETUNE_SVD_CACHE": str(self.inputs.svd_cache),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        with (self.job / f"attempt-{self.number}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kubetune_trainer.entrypoint"], env=environment, stdout=log, stderr=subprocess.STDOUT
            )

    def until(self, true: Callable[[], bool]) -> bool:
        """Waits for it; False: the attempt ended before."""
        deadline = time.monotonic() + LONGEST
        while not true():
            if not self.alive:
                return False
            if time.monotonic() > deadline:
                raise TimeoutError(f"attempt {self.number} of {self.inputs.case.name} takes for ever")
            time.sleep(0.02)
        return True

    def end(self, number: int) -> None:
        """Sends it the signal and waits until it and every process of it is gone."""
        assert self.process is not None  # noqa: S101 - it was started
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        self.process.wait()
        psutil.wait_procs(children, timeout=60)

    def wait(self) -> int:
        assert self.process is not None  # noqa: S101 - it was started
        return self.process.wait()

    @property
    def outcome(self) -> Outcome | None:
        """None after a kill."""
        file = self.job / f"outcome-{self.number}.json"
        return Outcome.model_validate_json(file.read_bytes()) if file.exists() and file.stat().st_size else None

    @property
    def final(self) -> Path | None:
        """The verified weights of the last step, or what was copied of them before their disk went."""
        outcome = self.outcome
        if outcome is None or outcome.checkpoint is None:
            return None
        copy = self.job / f"attempt-{self.number}.final"
        return copy if copy.exists() else Path(outcome.checkpoint.uri)


def kill(attempt: Attempt, random: Random, total: int) -> str:
    """-9 at a random moment: mostly while it trains, else before the first step."""
    if random.random() < 0.25:
        attempt.until(after(random.uniform(0, 12)))
        attempt.end(signal.SIGKILL)
        return f"-9 before the first step, or at step {attempt.step}"
    in_mid_training(attempt, random, total)
    attempt.end(signal.SIGKILL)
    return f"-9 at step {attempt.step}"


def terminate(attempt: Attempt, random: Random, total: int) -> str:
    in_mid_training(attempt, random, total)
    attempt.end(signal.SIGTERM)
    return f"SIGTERM at step {attempt.step}"


def fill(attempt: Attempt, random: Random, total: int) -> str:
    """The attempt writes to a small tmpfs. Once a save found no room there, and training went on, the last byte is taken.

    Where no save is due any more, the room for the final weights is taken.
    """
    told = "disk filled before the last step"
    if attempt.until(lambda: failed_saves(attempt) > 0 or attempt.step >= total - 1) and failed_saves(attempt):
        attempt.until(after(random.uniform(0, 1)))
        told = f"a save without room, then the disk filled at step {attempt.step}"
    with (attempt.directory / "filler").open("wb", buffering=0) as filler:
        try:
            while attempt.alive:
                filler.write(bytes(1 << 16))
        except OSError:
            pass  # it is full: that was the purpose
    attempt.wait()
    return told


def failed_saves(attempt: Attempt) -> int:
    return sum(entry.attempt == attempt.number for entry in read_ledger(attempt.job).of("save-failed"))


def in_mid_training(attempt: Attempt, random: Random, total: int) -> None:
    """From a random step on, in the first half of those that are left, for others to come; and a random part of a second later."""
    if not attempt.until(lambda: attempt.step > 0):
        return
    first = attempt.step
    target = random.randint(first, (first + total) // 2)
    attempt.until(lambda: attempt.step >= target)
    attempt.until(after(random.uniform(0, 0.5)))


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


@contextmanager
def small_disk(directory: Path, size: int) -> Iterator[None]:
    """A tmpfs of so many bytes in the place of the directory; it goes with all that is on it."""
    directory.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(directory)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)
        directory.rmdir()
