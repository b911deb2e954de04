"""Progress from a metrics file that is being written, torn, replayed and full of NaN."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from scripted import ScriptedBackend

from kubetune_trainer.backends.base import BackendRun, StepMetrics
from kubetune_trainer.contract import MAX_LOSSES, MAX_STAGE
from kubetune_trainer.progress import MetricsReader, before_first_step, progress_of, total_steps

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RUN = BackendRun("sft", Path("/m"), Path("/d"), Path("/o"), {})


def reader(path: Path) -> MetricsReader:
    backend = ScriptedBackend()
    return MetricsReader(path, lambda line: backend.parse_metrics(line, RUN))


def line(step: int, loss: float = 2.0) -> str:
    values = {"step": step, "epoch": 0, "num_epoch_steps": 5, "avg_loss": loss, "lr": 1e-3, "samples_seen": step}
    return json.dumps({**values, "timestamp": NOW.isoformat()}) + "\n"


def metrics(step: int, *, seconds: float | None = 0.0, loss: float = 2.0, rate: float | None = 100.0) -> StepMetrics:
    return StepMetrics(
        step=step,
        epoch=(step - 1) // 5,
        steps_per_epoch=5,
        loss=loss,
        learning_rate=1e-3,
        samples_seen=8.0 * step,
        tokens_per_second=rate,
        samples_per_second=None,
        time=None if seconds is None else NOW + timedelta(seconds=seconds),
    )


def test_a_file_that_is_not_there_yet(tmp_path: Path):
    assert reader(tmp_path / "none.jsonl").poll() == []


def test_only_whole_lines_each_once(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    watch = reader(path)
    text = line(1) + line(2)
    path.write_text(text[:-10])
    assert [m.step for m in watch.poll()] == [1]

    with path.open("a") as file:
        file.write(text[-10:])
    assert [m.step for m in watch.poll()] == [1, 2]
    assert [m.step for m in watch.poll()] == [1, 2]


def test_nan_parameters_and_rubbish(tmp_path: Path, caplog):
    path = tmp_path / "m.jsonl"
    path.write_text('{"num_gpus": 1}\n' + line(1, math.nan) + "not json\n[1]\n" + '{"avg_loss": 1}\n' + line(2))

    steps = reader(path).poll()

    assert "NaN" in path.read_text()  # bare, which is no JSON
    assert [m.step for m in steps] == [1, 2]
    assert math.isnan(steps[0].loss)
    assert "not json" in caplog.text


def test_replayed_steps_count_as_they_were_last(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    path.write_text(line(1, 9.0) + line(2, 8.0) + line(3, 7.0) + line(2, 6.0))

    assert [(m.step, m.loss) for m in reader(path).poll()] == [(1, 9.0), (2, 6.0), (3, 7.0)]


def test_a_step_that_comes_late_has_its_place_and_nothing_is_kept_twice(tmp_path: Path):
    path = tmp_path / "m.jsonl"
    watch = reader(path)
    path.write_text(line(1) + line(4) + line(2) + line(1, 9.0))
    steps = watch.poll()
    assert [(m.step, m.loss) for m in steps] == [(1, 9.0), (2, 2.0), (4, 2.0)]
    with path.open("a") as file:
        file.writelines(line(n) for n in range(3, 100))
    assert watch.poll() is steps  # no copy at each look
    assert [m.step for m in steps] == list(range(1, 100))


def test_total_steps():
    assert total_steps(12, [metrics(1)], 2) == 12
    assert total_steps(None, [metrics(1)], 3) == 15
    assert total_steps(None, [], 3) is None


def test_progress_before_the_first_step():
    assert progress_of([], 10, NOW) is None


def test_what_is_done_before_the_first_step():
    """A resume shows what it goes on from, and no pace that it does not have yet."""
    progress = before_first_step("computing SVD 3 of 9", 4, 16)

    assert (progress.stage, progress.step, progress.total_steps, progress.percent) == ("computing SVD 3 of 9", 4, 16, 25)
    assert (progress.loss, progress.eta_seconds, progress.updated_time) == (None, None, None)
    assert len(before_first_step("x" * 999, 0, None).stage or "") == MAX_STAGE
    assert progress_of([metrics(1)], 10, NOW).stage is None  # type: ignore[union-attr]


def test_progress():
    progress = progress_of([metrics(1, seconds=0), metrics(2, seconds=3), metrics(4, seconds=9)], 10, NOW)

    assert progress is not None
    assert (progress.step, progress.total_steps, progress.epoch, progress.percent) == (4, 10, 0, 40.0)
    assert (progress.loss, progress.learning_rate, progress.tokens_per_second) == (2.0, 1e-3, 100.0)
    assert progress.eta_seconds == 18  # 9 s for 3 steps, 6 left
    assert progress.updated_time == NOW + timedelta(seconds=9)


def test_figures_are_short_enough_to_be_read():
    progress = progress_of([metrics(1, loss=2.718281828459045, rate=1234.56789)], 10, NOW)
    assert progress is not None
    assert (progress.loss, progress.tokens_per_second) == (2.71828, 1234.57)


def test_the_pace_is_this_attempts_own():
    """A resumed attempt starts at step 6: the five before it cost it no time."""
    progress = progress_of([metrics(6, seconds=100), metrics(7, seconds=102)], 10, NOW)

    assert progress is not None
    assert progress.eta_seconds == 6


def test_what_cannot_be_known_is_left_out():
    one = progress_of([metrics(1, seconds=None, rate=math.nan, loss=math.inf)], None, NOW)

    assert one is not None
    assert (one.percent, one.eta_seconds, one.loss, one.tokens_per_second, one.total_steps) == (None, None, None, None, None)
    assert one.updated_time == NOW
    one.to_json()  # which refuses NaN


def test_the_curve_is_the_losses_until_there_are_many_and_then_their_means():
    few = progress_of([metrics(step, loss=5 - step) for step in (1, 2, 3)], 10, NOW)
    many = progress_of([metrics(step, loss=10_000 - step) for step in range(10_000)], 10_000, NOW)

    assert few is not None
    assert few.losses == (4, 3, 2)
    assert many is not None
    assert many.losses is not None
    assert len(many.losses) == MAX_LOSSES
    assert many.losses[0] == pytest.approx(9844, abs=3)  # of the first 312 steps
    assert sorted(many.losses, reverse=True) == list(many.losses)


def test_the_curve_leaves_out_what_is_not_finite():
    losses = (math.nan, 3.0, math.inf, 1.23456)
    progress = progress_of([metrics(step, loss=loss) for step, loss in enumerate(losses, 1)], 10, NOW)

    assert progress is not None
    assert progress.losses == (3.0, 1.235)
    assert progress_of([metrics(1, loss=math.nan)], 10, NOW).losses is None  # type: ignore[union-attr]


def test_a_clock_that_goes_back_gives_no_negative_eta():
    progress = progress_of([metrics(1, seconds=10), metrics(2, seconds=0)], 10, NOW)

    assert progress is not None
    assert progress.eta_seconds == 0
