"""One model: an undisturbed run, and one that is killed until it has finished; are they bit for bit the same?"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random

from e2e.marathon.attempt import Attempt, Inputs, fill, kill, small_disk, terminate
from e2e.marathon.models import Case
from kubetune_trainer.checkpoints import check_manifest
from kubetune_trainer.checkpoints.ledger import read_ledger
from kubetune_trainer.contract import CheckpointPolicy, Outcome

KINDS: dict[str, Callable[[Attempt, Random, int], str]] = {"9": kill, "term": terminate, "full": fill}
SMALL = 0.8  # of a full state: the part of it that the small tmpfs holds


@dataclass(frozen=True)
class Race:
    """What came of it."""

    case: Case
    kills: tuple[str, ...]
    disturbances: tuple[str, ...]
    outcomes: tuple[Outcome | None, ...]
    steps: int
    equal: int
    tensors: int
    losses_equal: bool
    seconds: tuple[float, float]  # undisturbed, disturbed
    ledger: str

    @property
    def won(self) -> bool:
        """Each kind of kill came in time, the attempt after them needed no other, and the end is the undisturbed run's."""
        last = self.outcomes[-1]
        equal = self.equal == self.tensors > 0 and self.losses_equal
        return last is not None and last.reached_end and equal and len(self.outcomes) == len(self.kills) + 1


def race(case: Case, kills: Sequence[str], seed: int, folder: Path) -> Race:
    random = Random(f"{seed} {case.name}")  # noqa: S311 - moments, no secrets
    home = folder / case.name
    shutil.rmtree(home, ignore_errors=True)
    (home / "undisturbed").mkdir(parents=True)
    (home / "disturbed").mkdir()
    inputs = Inputs(case, case.model(folder / "models"), case.data(home), folder / "svd-cache")
    began = time.monotonic()
    calm = Attempt(inputs, home / "undisturbed", 1, CheckpointPolicy(every_epoch=False))
    calm.start()
    calm.wait()
    if calm.outcome is None or not calm.outcome.reached_end:
        sys.exit(f"{case.name}: the undisturbed run failed, see {calm.job}/attempt-1.log")
    between = time.monotonic()
    said, attempts = disturbed(inputs, home / "disturbed", list(kills), random, calm.outcome.step)
    last = attempts[-1]
    tensors, equal = compare(calm, last)
    return Race(
        case=case,
        kills=tuple(kills),
        disturbances=tuple(said),
        outcomes=tuple(attempt.outcome for attempt in attempts),
        steps=calm.outcome.step,
        equal=equal,
        tensors=tensors,
        losses_equal=losses([calm]) == losses(attempts),
        seconds=(between - began, time.monotonic() - between),
        ledger=str(read_ledger(last.job)).replace(f"{home}/", ""),
    )


def disturbed(inputs: Inputs, job: Path, kills: list[str], random: Random, total: int) -> tuple[list[str], list[Attempt]]:
    """Attempt after attempt until one reaches the end; returns what was done to each, and all of them."""
    said: list[str] = []
    attempts: list[Attempt] = []
    policy = CheckpointPolicy(every_epoch=True, every_steps=inputs.case.every_steps, keep=1)
    while not attempts or not ((outcome := attempts[-1].outcome) and outcome.reached_end):
        kind = kills.pop(0) if kills else None
        attempt = Attempt(inputs, job, len(attempts) + 1, policy)
        attempts.append(attempt)
        print(f"    attempt {attempt.number}: {kind or 'left alone'}", file=sys.stderr, flush=True)
        size = int(SMALL * state_bytes(job)) if kind == "full" else 0
        with small_disk(attempt.directory, size) if size else nullcontext():
            attempt.start()
            said.append(KINDS[kind](attempt, random, total) if kind else f"left alone: exit code {attempt.wait()}")
            if size:
                rescue(attempt)
        if len(attempts) > 20:
            sys.exit(f"{inputs.case.name}: no end after {len(attempts)} attempts, see {job}")
    return said, attempts


def rescue(attempt: Attempt) -> None:
    """What is looked at later is copied from a disk that goes: the metrics, and the weights if it came to its end after all."""
    for file in attempt.directory.glob("training_*metrics*.jsonl"):
        shutil.copy(file, attempt.job / f"attempt-{attempt.number}.{file.name}")
    if attempt.final is not None:
        shutil.copytree(attempt.final, attempt.job / f"attempt-{attempt.number}.final")


def state_bytes(job: Path) -> int:
    """Of the largest full state so far.

    Raises:
        SystemExit: there is none: the disk can only be too small for something known.

    """
    sizes = [e.bytes or 0 for e in read_ledger(job).of("saved") if e.kind == "full-state"]
    if not sizes:
        sys.exit(f"{job}: no full state was saved before the disk was to be full; begin with other kills")
    return max(sizes)


def compare(calm: Attempt, last: Attempt) -> tuple[int, int]:
    """Tensors of the undisturbed run's final weights, and how many of them the other's equal bit for bit."""
    import torch
    from safetensors.torch import load_file

    weights = []
    for attempt in (calm, last):
        checkpoint = attempt.final
        if checkpoint is None:
            return 0, 0
        if problems := check_manifest(checkpoint):
            sys.exit(f"{checkpoint}: {problems}")
        weights.append(load_file(checkpoint / "model.safetensors"))
    one, other = weights
    same = sum(name in other and torch.equal(one[name], other[name]) for name in one)
    return len(one.keys() | other.keys()), same


def losses(attempts: Sequence[Attempt]) -> dict[int, float]:
    """By step, as the last attempt that did it logged them."""
    found: dict[int, float] = {}
    for attempt in attempts:
        kept = attempt.job.glob(f"attempt-{attempt.number}.training_*metrics*.jsonl")
        for file in (*attempt.directory.glob("training_*metrics*.jsonl"), *kept):
            for line in map(whole, file.read_text().splitlines()):
                if "step" in line:
                    found[int(line["step"])] = line["loss"] if "loss" in line else line["avg_loss"]
    return found


def whole(line: str) -> dict[str, float]:
    """Empty for a line that a full disk tore."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return {}
