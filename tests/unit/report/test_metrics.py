import json
import math
from datetime import UTC, datetime

import pytest

from kubetune.report.metrics import GIB_IN_GB, read_steps

MINI_TRAINER = {
    "step": 3,
    "epoch": 0,
    "steps_per_epoch": 12,
    "lr": 0.0005,
    "loss": 2.5,
    "avg_loss_backward": 2.4,
    "tokens_per_second": 813.2,
    "samples_per_second": 18.4,
    "peak_memory_usage_GB": 61.5,
    "val_loss": None,
    "timestamp": "2026-11-28T13:29:26.297812",
}
INSTRUCTLAB = {
    "step": 3,
    "epoch": 0,
    "num_epoch_steps": 12,
    "lr": 2e-05,
    "avg_loss": 2.5,
    "total_loss": 170.0,
    "overall_throughput": 18.4,
    "cuda_mem_allocated": 10.0,
    "samples_seen": 24,
    "timestamp": "2026-11-28T13:29:26.297812",
}


def of(*lines, **options):
    return read_steps("".join(json.dumps(line) + "\n" for line in lines), **options)


def test_a_line_of_mini_trainer():
    (step,) = of(MINI_TRAINER, utc_offset=3600)
    assert (step.step, step.loss, step.learning_rate, step.memory_gb) == (3, 2.5, 0.0005, 61.5)
    assert (step.tokens_per_second, step.samples_per_second, step.steps_per_epoch) == (813.2, 18.4, 12)
    assert step.time == datetime(2026, 11, 28, 12, 29, 26, 297812, tzinfo=UTC)


def test_a_line_of_instructlab_training():
    (step,) = of(INSTRUCTLAB, utc_offset=0)
    assert (step.step, step.loss, step.samples_per_second, step.tokens_per_second) == (3, 2.5, 18.4, None)
    assert step.memory_gb == pytest.approx(10 * GIB_IN_GB)
    assert step.steps_per_epoch == 12


def test_without_a_gpu_no_memory_is_told():
    assert of({**MINI_TRAINER, "peak_memory_usage_GB": 0.0})[0].memory_gb is None


def test_nan_is_kept_as_the_loss_that_it_was():
    (step,) = of({**MINI_TRAINER, "loss": math.nan, "lr": math.nan})
    assert math.isnan(step.loss)
    assert step.learning_rate is None


def test_a_step_that_was_done_again_counts_once_and_as_it_was_last():
    steps = of({**MINI_TRAINER, "step": 1}, {**MINI_TRAINER, "step": 2, "loss": 9.0}, {**MINI_TRAINER, "step": 2, "loss": 1.0})
    assert [(step.step, step.loss) for step in steps] == [(1, 2.5), (2, 1.0)]


def test_a_validation_line_of_its_own_belongs_to_its_step():
    (step,) = of(MINI_TRAINER, {"step": 3, "val_loss": 2.75, "timestamp": MINI_TRAINER["timestamp"]})
    assert (step.loss, step.validation_loss) == (2.5, 2.75)


@pytest.mark.parametrize(
    "line", ['{"step": 1, "loss": 2', "[]", '"text"', '{"step": "a", "loss": 1}', '{"loss": 1}', '{"params": 1}']
)
def test_what_is_no_step_is_passed_over(line):
    assert read_steps(f"{line}\n{json.dumps(MINI_TRAINER)}\n") == of(MINI_TRAINER)
