"""What a tracker is, and what it is told of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from kubetune_trainer.backends.base import StepMetrics


@dataclass(frozen=True)
class TrackedRun:
    """What all trackers are told of the run."""

    id: str  # the same for all attempts of a job: they go on with one run
    resumed_step: int  # the step that this attempt goes on from
    directory: Path  # this attempt's own, writable
    config: Mapping[str, Any]  # what is trained, for people


class Tracker(Protocol):
    """One place to which metrics go. Every method may raise and may block: `Feed` deals with both."""

    name: ClassVar[str]

    def open(self, run: TrackedRun) -> int:
        """Begins the run or goes on with it; returns the last step that it has already."""

    def log(self, steps: Sequence[StepMetrics]) -> None:
        """Each step once, in order. After an exception the same steps come again."""

    def close(self, *, succeeded: bool) -> None:
        """The attempt has ended; waits until everything is written."""


def values_of(metrics: StepMetrics) -> dict[str, float]:
    """What is known of a step, under the names of the job's status. A loss may be NaN: all trackers show that."""
    values = {
        "loss": metrics.loss,
        "learning_rate": metrics.learning_rate,
        "epoch": metrics.epoch,
        "samples_seen": metrics.samples_seen,
        "tokens_per_second": metrics.tokens_per_second,
        "samples_per_second": metrics.samples_per_second,
    }
    return {name: float(value) for name, value in values.items() if value is not None}


def seconds_of(metrics: StepMetrics) -> float | None:
    return metrics.time.timestamp() if metrics.time else None
