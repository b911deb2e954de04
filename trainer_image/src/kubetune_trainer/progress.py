"""From the backend's metrics file to the progress that a user reads."""

from __future__ import annotations

import json
import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.contract import MAX_LOSSES, MAX_STAGE, Progress
from kubetune_trainer.curve import mean, stretches

logger = logging.getLogger(__name__)

STEPS_OF_A_STRETCH = 64


class MetricsReader:
    """Reads a JSONL file that grows: whole lines only, each once. A resume replays steps, and the last account of a step counts."""

    def __init__(self, path: Path, parse: Callable[[Mapping[str, Any]], StepMetrics | None]) -> None:
        self._path, self._parse = path, parse
        self._offset = 0
        self.steps: list[StepMetrics] = []

    def poll(self) -> list[StepMetrics]:
        """The steps in the order of their numbers, with what was appended since the last call: always the same list."""
        for line in self._new_lines():
            metrics = self._read(line)
            if metrics is not None:
                self._take(metrics)
        return self.steps

    def _take(self, metrics: StepMetrics) -> None:
        """At the end as a rule: a look must not cost more the longer the run is."""
        place = bisect_left(self.steps, metrics.step, key=lambda known: known.step)
        known = place < len(self.steps) and self.steps[place].step == metrics.step
        self.steps[place : place + known] = [metrics]

    def _new_lines(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                appended = file.read()
        except FileNotFoundError:
            return []
        whole = appended[: appended.rfind(b"\n") + 1]  # the rest is a line still being written
        self._offset += len(whole)
        return whole.splitlines()

    def _read(self, line: bytes) -> StepMetrics | None:
        try:
            values = json.loads(line)  # Python's reader takes the bare NaN that both libraries write
            return self._parse(values) if isinstance(values, dict) else None
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("a line of %s cannot be read (%s): %.200r", self._path.name, error, line)
            return None


def total_steps(known: int | None, steps: Sequence[StepMetrics], epochs: int) -> int | None:
    """Optimizer steps of the whole run: as the backend computed them, else epochs x the steps per epoch that it logs."""
    if known is not None:
        return known
    return steps[-1].steps_per_epoch * epochs if steps else None


def progress_of(steps: Sequence[StepMetrics], total: int | None, now: datetime) -> Progress | None:
    """Where the training stands after the last step; None before the first one.

    Percent and ETA need `total`. The ETA is the steps left times this attempt's own mean seconds a step, from the times
    that the backend logged; it needs two steps.
    """
    if not steps:
        return None
    last = steps[-1]
    return Progress(
        step=last.step,
        total_steps=total,
        epoch=last.epoch,
        percent=_percent(last.step, total),
        loss=readable(last.loss),
        learning_rate=readable(last.learning_rate),
        tokens_per_second=readable(last.tokens_per_second),
        samples_per_second=readable(last.samples_per_second),
        eta_seconds=_eta(steps, total),
        updated_time=last.time or now,
        losses=losses_of(steps),
    )


def losses_of(steps: Sequence[StepMetrics]) -> tuple[float, ...] | None:
    """The curve so far in a few means; of a long stretch some steps stand for all, so that a look costs the same at any length."""
    pieces = (steps[begin : end : max(1, (end - begin) // STEPS_OF_A_STRETCH)] for begin, end in stretches(len(steps), MAX_LOSSES))
    means = (mean([step.loss for step in piece if step.loss is not None]) for piece in pieces)
    return tuple(float(f"{each:.4g}") for each in means if each is not None) or None


def before_first_step(stage: str, step: int, total: int | None) -> Progress:
    """What is being done while nothing steps yet. `step`: what the attempt goes on from, so that a resume shows no fall to 0."""
    return Progress(step=step, total_steps=total, percent=_percent(step, total), stage=stage[:MAX_STAGE])


def _percent(step: int, total: int | None) -> float | None:
    return min(100.0, round(100 * step / total, 2)) if total else None


def _eta(steps: Sequence[StepMetrics], total: int | None) -> int | None:
    first, last = steps[0], steps[-1]
    if total is None or first.time is None or last.time is None or last.step <= first.step:
        return None
    pace = max(0.0, (last.time - first.time).total_seconds()) / (last.step - first.step)
    return round(max(0, total - last.step) * pace)


def finite(value: float | None) -> float | None:
    """The value, or None where JSON could not hold it."""
    return value if value is not None and math.isfinite(value) else None


def readable(value: float | None) -> float | None:
    """To six digits: `kubectl get` prints all that a float64 has. The metrics file keeps them."""
    kept = finite(value)
    return None if kept is None else float(f"{kept:.6g}")
