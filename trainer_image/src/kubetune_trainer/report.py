"""Publishes the latest state of the run to whoever watches this pod: one file, replaced atomically."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubetune_trainer.attempt_record import AttemptRecord
from kubetune_trainer.contract import REPORT_FILE_ENV, Report
from kubetune_trainer.errors import ConfigurationError

logger = logging.getLogger(__name__)

INTERVAL_ENV = "KUBETUNE_REPORT_INTERVAL_SECONDS"
INTERVAL_SECONDS = 10.0


@dataclass
class Throttle:
    """At most one report an interval, but events at once: the first step, the last one, another set of checkpoints."""

    interval: float = INTERVAL_SECONDS
    last_time: float | None = None
    last: Report | None = field(default=None)

    def due(self, report: Report, now: float) -> bool:
        """Whether to publish it; `now` in seconds of a monotonic clock. Notes it as published if so."""
        if self.last_time is not None and report == self.last:
            return False
        if self.last_time is None or now - self.last_time >= self.interval or self._event(report):
            self.last_time, self.last = now, report
            return True
        return False

    def _event(self, report: Report) -> bool:
        before, after = (self.last.progress if self.last else None), report.progress
        first = after is not None and after.stage is None and (before is None or before.stage is not None)
        last = after is not None and after.step == after.total_steps and (before is None or before.step != after.step)
        checkpoints = self.last.checkpoints if self.last else ()
        return first or last or report.checkpoints != checkpoints


def write_report(path: Path, report: Report) -> None:
    """Replaces the file as a whole.

    Raises:
        OSError: it cannot be written.

    """
    scratch = path.with_name(f".{path.name}.writing")
    scratch.write_text(report.to_json())
    scratch.replace(path)


def file_reporter(environment: Mapping[str, str] = os.environ) -> Callable[[Report], None] | None:
    """Writes to the file that KUBETUNE_REPORT_FILE names; None where nobody asked for reports."""
    name = environment.get(REPORT_FILE_ENV)
    if not name:
        return None
    path = Path(name)
    return lambda report: write_report(path, report)


def interval_of(environment: Mapping[str, str] = os.environ) -> float:
    """Seconds between reports: KUBETUNE_REPORT_INTERVAL_SECONDS, 10 where it is not set."""
    text = environment.get(INTERVAL_ENV)
    try:
        value = INTERVAL_SECONDS if text is None else float(text)
    except ValueError:
        value = -1.0
    if not value >= 0:
        raise ConfigurationError(INTERVAL_ENV, text, "is no number of seconds", "set 0 or more, or leave it unset")
    return value


@dataclass
class Reports:
    """All reports of one run pass here, so that together they are at most one an interval."""

    reporter: Callable[[Report], None] | None
    throttle: Throttle
    record: AttemptRecord | None = None

    def tell(self, report: Report) -> None:
        """Publishes it if it is time for it."""
        if self.record is not None:
            self.record.reached(report.progress)
        if self.throttle.due(report, time.monotonic()):
            publish(self.reporter, report)


def publish(reporter: Callable[[Report], None] | None, report: Report) -> None:
    """Reports, and goes on training if that fails."""
    if reporter is None:
        return
    try:
        reporter(report)
    except Exception as error:  # noqa: BLE001 - a reporter is somebody else's code: training outlives every fault of it
        logger.warning("progress could not be reported, training goes on: %s", error)
