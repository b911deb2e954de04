"""The metrics files of the three backends, line by line, in one shape. Pure.

instructlab-training's lines have avg_loss and samples a second, its memory is in GiB; mini-trainer's and trl_peft's have loss and
both rates. Memory is that of the node's first rank, where it has a GPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from math import isfinite
from typing import Any

GIB_IN_GB = 1024**3 / 1000**3


@dataclass(frozen=True)
class Step:
    """One optimizer step. The loss may be NaN, as it was logged; None: not logged."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    samples_per_second: float | None = None
    memory_gb: float | None = None
    validation_loss: float | None = None
    epoch: int | None = None
    steps_per_epoch: int | None = None
    time: datetime | None = None


def read_steps(text: str, utc_offset: int | None = None) -> list[Step]:
    """By number; of a step that is there twice the last account. Torn lines and what is no step are passed over.

    `utc_offset`: seconds by which the backend's clock, whose zone it does not log, is ahead of UTC; None: this machine's.
    """
    found = [step for line in text.splitlines() if (step := step_of(line, utc_offset)) is not None]
    held_out = {step.step: step.validation_loss for step in found if step.loss is None}  # a line of its own, after the step's
    steps = last_accounts(step for step in found if step.loss is not None)
    return [replace(step, validation_loss=held_out.get(step.step, step.validation_loss)) for step in steps]


def last_accounts(steps: Iterable[Step]) -> list[Step]:
    """A resume replays steps: the last account of each counts."""
    by_number = {step.step: step for step in steps}
    return [by_number[number] for number in sorted(by_number)]


def step_of(line: str, utc_offset: int | None) -> Step | None:
    try:
        values = json.loads(line)
        return parsed(values, utc_offset) if isinstance(values, dict) else None
    except (ValueError, TypeError):
        return None


def parsed(values: Mapping[str, Any], utc_offset: int | None) -> Step | None:
    """Raises ValueError or TypeError where a field is none of its kind."""
    loss, held_out, number = values.get("avg_loss", values.get("loss")), values.get("val_loss"), values.get("step")
    if (loss is None and held_out is None) or not isinstance(number, int):
        return None
    return Step(
        step=number,
        loss=None if loss is None else float(loss),
        validation_loss=finite(held_out),
        learning_rate=finite(values.get("lr")),
        tokens_per_second=finite(values.get("tokens_per_second")),
        samples_per_second=finite(values.get("samples_per_second", values.get("overall_throughput"))),
        memory_gb=memory(values),
        epoch=values.get("epoch"),
        steps_per_epoch=values.get("steps_per_epoch", values.get("num_epoch_steps")),
        time=moment(values.get("timestamp"), utc_offset),
    )


def memory(values: Mapping[str, Any]) -> float | None:
    """mini-trainer logs the peak of the step, instructlab-training what is allocated at its end; zero: there is no GPU."""
    peak, allocated = finite(values.get("peak_memory_usage_GB")), finite(values.get("cuda_mem_allocated"))
    return peak or (allocated * GIB_IN_GB if allocated else None)


def finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and isfinite(value) else None


def moment(value: Any, utc_offset: int | None) -> datetime | None:
    if not isinstance(value, str):
        return None
    time = datetime.fromisoformat(value)
    if time.tzinfo is None and utc_offset is not None:
        time = time.replace(tzinfo=timezone(timedelta(seconds=utc_offset)))
    return time.astimezone(UTC)
