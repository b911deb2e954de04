"""SIGTERM: the ranks are asked to save and to end, and what they saved is verified, all within the pod's grace period."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from kubetune_trainer.contract import Outcome

LAST_WORDS_SECONDS = 5.0
"""What stays of the grace period to end every process and to write the outcome; at most half of it."""


class Terminated(BaseException):
    """The process was asked to end, and ends at once. `outcome` says how far the run had come, once it had begun."""

    outcome: Outcome | None = None


@dataclass
class GracefulStop:
    """What the first SIGTERM does. Terminated is raised by the second, when the time is up, and where there is nothing to save.

    Handlers run on the main thread, between two instructions of whatever it does.
    """

    grace_seconds: float = 30.0
    asked: bool = False
    _stop_file: Path | None = None
    _worth_saving: Callable[[], bool] | None = None

    def install(self) -> None:
        """Takes over SIGTERM and SIGINT, and SIGALRM for the end of the time."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.asked_to_end)
        signal.signal(signal.SIGALRM, self.end)

    @property
    def seconds(self) -> float:
        """From the first signal to the end of patience."""
        return max(self.grace_seconds - LAST_WORDS_SECONDS, self.grace_seconds / 2)

    @contextlib.contextmanager
    def saving_to(self, stop_file: Path | None, worth_saving: Callable[[], bool]) -> Iterator[None]:
        """While this is open the first signal lets the run save, end and be verified."""
        self._stop_file, self._worth_saving = stop_file, worth_saving
        try:
            yield
        finally:
            self._stop_file = self._worth_saving = None
            signal.setitimer(signal.ITIMER_REAL, 0)

    def asked_to_end(self, number: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT."""
        first, self.asked = not self.asked, True
        if not (first and self.seconds > 0 and self._stop_file and self._worth_saving and self._worth_saving()):
            self.end(number, frame)
        else:
            signal.setitimer(signal.ITIMER_REAL, self.seconds)
            self._stop_file.touch()

    def end(self, number: int, frame: FrameType | None) -> None:
        """From wherever the process is."""
        del number, frame
        for again in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(again, signal.SIG_IGN)
        raise Terminated
