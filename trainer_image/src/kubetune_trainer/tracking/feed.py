"""Takes the metrics of a run to a tracker, in a thread of its own that neither holds up nor fails the training."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.tracking.base import TrackedRun, Tracker

logger = logging.getLogger(__name__)

INTERVAL_SECONDS, LONGEST_RETRY_SECONDS = 2.0, 60.0
CLOSE_SECONDS = 30.0
"""How long the end of a run waits for its trackers, all of them together."""

STEPS_AT_ONCE = 1000


@dataclass
class Feed:
    """One tracker's thread. It holds no queue: the steps are the monitor's own list, and it remembers the last one that it sent.

    A fault is logged when it begins, and tried again after a while that doubles up to a minute.
    """

    tracker: Tracker
    run: TrackedRun
    steps: Callable[[], Sequence[StepMetrics]]  # in the order of their numbers
    interval: float = INTERVAL_SECONDS
    succeeded: bool = False  # said before the end
    _sent: int | None = None  # None: not open yet
    _fault: bool = False
    _ending: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._work, name=f"tracker-{self.tracker.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """No more steps come: what is left is sent, and the run closed."""
        self._ending.set()

    def wait(self, seconds: float) -> None:
        """After that a tracker that is still busy is left behind, with a warning."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            logger.warning("%s did not take everything in time and is left behind", self.tracker.name)

    def _work(self) -> None:
        pause = self.interval
        while not self._ending.wait(pause):
            pause = self.interval if self._try(self._send) else min(LONGEST_RETRY_SECONDS, 2 * pause)
        while self._try(self._send) and self._left():
            continue
        if self._sent is not None:
            self._try(lambda: self.tracker.close(succeeded=self.succeeded))

    def _send(self) -> None:
        if self._sent is None:
            if not self.steps():
                return  # a run that never steps leaves nothing behind
            self._sent = self.tracker.open(self.run)
        new = self._left()[:STEPS_AT_ONCE]
        if new:
            self.tracker.log(new)
            self._sent = new[-1].step

    def _left(self) -> Sequence[StepMetrics]:
        steps = self.steps()
        return steps[bisect_right(steps, self._sent or 0, key=lambda metrics: metrics.step) :]

    def _try(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - a tracker's library may raise anything: training outlives all of it
            if not self._fault:
                name, what = self.tracker.name, str(error) or type(error).__name__
                logger.warning("%s does not take the metrics, training goes on: %.500s", name, what)
            self._fault = True
            return False
        if self._fault:
            logger.info("%s takes the metrics again", self.tracker.name)
        self._fault = False
        return True


@contextlib.contextmanager
def tracked(feeds: Sequence[Feed], patience: Callable[[], float]) -> Iterator[None]:
    """Feeds the trackers while it is open, and `patience` seconds more; an exception leaves them behind at once."""
    for feed in feeds:
        feed.start()
    try:
        yield
    except BaseException:
        for feed in feeds:
            feed.end()
        raise
    for feed in feeds:
        feed.end()
    deadline = time.monotonic() + patience()
    for feed in feeds:
        feed.wait(max(0.0, deadline - time.monotonic()))
