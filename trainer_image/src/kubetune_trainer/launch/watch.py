"""Beside the run on each node: ends it when another node is gone or failed, or when no rank moves any more."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubetune_trainer.backends.base import Patience
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.gang import Gang
from kubetune_trainer.launch.hang import hang_error
from kubetune_trainer.launch.stacks import ANSWER_SECONDS, RankStack, leave_stacks

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.25
BEAT_SECONDS = 60.0
"""Proxies and address translation between pods forget a connection on which nothing is said for long."""

LINGER_SECONDS = 10.0
"""How long the ranks here have to end by themselves, and to say of what, once another node said that it failed."""

NODES_SECONDS = ANSWER_SECONDS + 5.0


@dataclass
class Silence:
    """How long the metrics file has not grown, by this machine's clock."""

    patience: Patience
    file: Path
    size: int = -1

    def __post_init__(self) -> None:
        self.since = self.patience.since

    def seconds(self, now: float) -> float:
        size = self.file.stat().st_size if self.file.exists() else 0
        if size != self.size:
            self.since = self.since if self.size == -1 and not size else now
            self.size = size
        return now - self.since


class Watch:
    """One for each launch. `end` ends the ranks of this node; `error` is then why."""

    def __init__(self, launch: Launch, gang: Gang, end: Callable[[], None]) -> None:
        self._launch, self._gang, self._end = launch, gang, end
        patience, file, judges = launch.patience, launch.metrics_file, launch.torchrun.node_rank == 0
        self._silence = Silence(patience, file) if judges and patience and file else None
        self._over, self._beat = threading.Event(), time.monotonic()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.error: TrainingError | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.is_set():
            self._gang.poll(POLL_SECONDS)
            try:
                self._look()
            except Exception:  # a file that vanished, a process that cannot be read: the next look may do better
                logger.exception("the run could not be watched for a moment; training goes on")

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._beat > BEAT_SECONDS:
            self._beat = now
            self._gang.say_here()
        if self._gang.stacks_wanted:
            self._gang.give_stacks(self._stacks())
        if self.error is None and self._gang.failed_at is not None and now - self._gang.failed_at > LINGER_SECONDS:
            self.error = self._gang.failure
        elif self.error is None and self._silence and self._silence.seconds(now) > self._silence.patience.seconds:
            self.error = self._hang(self._silence.seconds(now))
        if self.error is not None:
            self._end()  # again and again: they may not have been started yet

    def _hang(self, seconds: float) -> TrainingError:
        self._gang.ask_for_stacks()
        own = self._stacks()
        stacks = sorted([*own, *self._gang.stacks(NODES_SECONDS)], key=lambda stack: stack.rank)
        return hang_error(stacks, seconds, str(self._launch.log_dir.parent))

    def _stacks(self) -> list[RankStack]:
        return leave_stacks(self._launch.log_dir, self._launch.torchrun.node_rank)
