"""A tracker that is down, slow or broken holds nothing up, fails nothing and is told once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from waiting import until

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.tracking.base import TrackedRun, seconds_of, values_of
from kubetune_trainer.tracking.feed import STEPS_AT_ONCE, Feed, tracked

RUN = TrackedRun("id", 0, Path("/x"), {})
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def step(number: int, **more: Any) -> StepMetrics:
    given = {
        "epoch": 0,
        "steps_per_epoch": 5,
        "loss": 1.0 / number,
        "learning_rate": 1e-3,
        "samples_seen": 8.0 * number,
        "tokens_per_second": None,
        "samples_per_second": 4.0,
        "time": NOW,
    }
    return StepMetrics(step=number, **{**given, **more})


@dataclass
class Recorder:
    """Raises while `down`; blocks in log() until `go`."""

    name: ClassVar[str] = "Recorder"
    has: int = 0
    down: bool = False
    go: threading.Event = field(default_factory=threading.Event)
    seen: list[int] = field(default_factory=list)
    calls: int = 0
    opened: int = 0
    closed: list[bool] = field(default_factory=list)

    def open(self, run: TrackedRun) -> int:
        self._fail()
        self.opened += 1
        return self.has

    def log(self, steps: Sequence[StepMetrics]) -> None:
        self._fail()
        self.go.wait()
        self.seen += [metrics.step for metrics in steps]

    def close(self, *, succeeded: bool) -> None:
        self.closed.append(succeeded)

    def _fail(self) -> None:
        self.calls += 1
        if self.down:
            raise ConnectionError("nobody there")


@pytest.fixture
def recorder() -> Recorder:
    made = Recorder()
    made.go.set()
    return made


def feed_of(recorder: Recorder, steps: list[StepMetrics]) -> Feed:
    return Feed(recorder, RUN, lambda: steps, interval=0.001)


def in_time() -> float:
    return 60.0


def test_each_step_once_in_order_and_those_that_come_at_the_end(recorder: Recorder):
    steps = [step(1), step(2)]
    feed = feed_of(recorder, steps)
    with tracked([feed], in_time):
        until(lambda: recorder.seen == [1, 2], "they are sent while it trains")
        steps += [step(number) for number in range(3, 3000)]
        feed.succeeded = True
    assert recorder.seen == list(range(1, 3000))
    assert (recorder.opened, recorder.closed) == (1, [True])
    assert recorder.calls < 50, f"in batches of {STEPS_AT_ONCE}"


def test_a_run_that_never_steps_leaves_nothing_behind(recorder: Recorder):
    with tracked([feed_of(recorder, [])], in_time):
        pass
    assert (recorder.calls, recorder.closed) == (0, [])


def test_what_the_tracker_has_already_is_not_sent_again(recorder: Recorder):
    recorder.has = 3
    with tracked([feed_of(recorder, [step(number) for number in range(2, 7)])], in_time):
        pass
    assert recorder.seen == [4, 5, 6]


def test_a_tracker_that_is_down_is_told_once_and_gets_all_when_it_is_back(recorder: Recorder, caplog: pytest.LogCaptureFixture):
    recorder.down = True
    steps = [step(1)]
    with caplog.at_level(logging.INFO), tracked([feed_of(recorder, steps)], in_time):
        until(lambda: recorder.calls > 5, "it is tried again")
        steps.append(step(2))
        recorder.down = False
        until(lambda: recorder.seen == [1, 2], "it is back")
    assert caplog.text.count("does not take the metrics, training goes on: nobody there") == 1
    assert caplog.text.count("takes the metrics again") == 1


def test_one_that_stays_down_fails_nothing(recorder: Recorder):
    recorder.down = True
    with tracked([feed_of(recorder, [step(1)])], in_time):
        pass
    assert recorder.closed == []


def test_one_that_hangs_is_left_behind_and_the_others_are_not(recorder: Recorder, caplog: pytest.LogCaptureFixture):
    stuck, steps = Recorder(), [step(1)]
    with tracked([feed_of(stuck, steps), feed_of(recorder, steps)], lambda: 0.2):
        until(lambda: stuck.calls == 2 and recorder.seen == [1], "one hangs")
        steps += [step(number) for number in range(2, 2000)]
        until(lambda: recorder.seen[-1] == 1999, "the other goes on")
    assert caplog.text.count("left behind") == 1
    assert stuck.calls == 2  # nothing piles up meanwhile
    stuck.go.set()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError])
def test_an_exception_waits_for_nobody(end: type[BaseException]):
    stuck = Recorder()

    def never() -> float:
        raise AssertionError("it was waited for")

    def run() -> None:
        with tracked([feed_of(stuck, [step(1)])], never):
            until(lambda: stuck.calls == 2, "it hangs")
            raise end

    with pytest.raises(end):
        run()
    stuck.go.set()


def test_what_is_told_of_a_step():
    """Units are those of the job's status; what is not known is left out; NaN is told."""
    nan = float("nan")
    values = values_of(step(2, loss=nan, learning_rate=None))
    assert set(values) == {"loss", "epoch", "samples_seen", "samples_per_second"}
    assert values["loss"] != values["loss"]
    assert (values["samples_per_second"], values["samples_seen"]) == (4.0, 16.0)
    assert seconds_of(step(1)) == NOW.timestamp()
    assert seconds_of(step(1, time=None)) is None
