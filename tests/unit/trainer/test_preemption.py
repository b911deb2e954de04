"""What signals do, sent for real to this process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from signal_handlers import NUMBERS, kept_handlers

from kubetune_trainer.preemption import GracefulStop, Terminated


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    with kept_handlers():
        yield


def installed(grace_seconds: float = 600.0) -> GracefulStop:
    stop = GracefulStop(grace_seconds)
    stop.install()
    return stop


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_for_a_save_and_the_second_ends(number: int, tmp_path: Path) -> None:
    stop = installed()
    with pytest.raises(Terminated), stop.saving_to(tmp_path / "stop", lambda: True):  # noqa: PT012 - where it is raised is the test
        send(number)
        assert stop.asked
        assert (tmp_path / "stop").exists()
        assert 500 < signal.getitimer(signal.ITIMER_REAL)[0] < 600  # what the grace period leaves, but for the last words
        send(number)
    assert {signal.getsignal(each) for each in NUMBERS} == {signal.SIG_IGN}  # the end is not disturbed


def test_where_nothing_can_be_saved_the_first_signal_ends(tmp_path: Path) -> None:
    file = tmp_path / "stop"
    for grace, stop_file, worth in ((0, file, True), (600, None, True), (600, file, False)):
        stop = installed(grace)
        with pytest.raises(Terminated), stop.saving_to(stop_file, lambda worth=worth: worth):  # type: ignore[misc]  # a default
            send(signal.SIGTERM)
        assert not file.exists()
    stop = installed()
    with pytest.raises(Terminated):  # before training, and after it
        send(signal.SIGTERM)


def test_when_the_time_is_up_it_ends(tmp_path: Path) -> None:
    stop = installed(0.2)
    began = time.monotonic()
    with pytest.raises(Terminated), stop.saving_to(tmp_path / "stop", lambda: True):  # noqa: PT012 - as above
        send(signal.SIGTERM)
        while time.monotonic() < began + 300:
            time.sleep(0.01)
    assert time.monotonic() - began >= 0.1


def test_a_run_that_ends_in_time_is_left_alone(tmp_path: Path) -> None:
    stop = installed()
    with stop.saving_to(tmp_path / "stop", lambda: True):
        send(signal.SIGTERM)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_patience_leaves_time_for_the_last_words() -> None:
    assert [GracefulStop(grace).seconds for grace in (0, 4, 10, 30, 600)] == [0, 2, 5, 25, 595]
