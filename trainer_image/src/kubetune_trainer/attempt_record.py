"""What each attempt was asked to do, and what it did before its first step: beside the ledger, for whoever reports on the job.

Written like the ledger: a JSON object a line, appended; a line that cannot be written is a warning and holds nothing up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from kubetune_trainer.checkpoints.ledger import append
from kubetune_trainer.contract import Message, Progress

logger = logging.getLogger(__name__)

RECORD_NAME = "kubetune-attempts.jsonl"


class Note(Message):
    """One line. Fields that a newer version adds are passed over by an older reader."""

    model_config = ConfigDict(extra="ignore")

    time: datetime
    attempt: int = Field(ge=1)
    stage: str | None = Field(default=None, description="What began then, before the first step, as the status has it.")
    asked: dict[str, Any] | None = Field(default=None, description="What is trained and how, once the preflight has filled it in.")
    utc_offset: int | None = Field(default=None, description="Seconds by which the metrics' clock is ahead of UTC.")


@dataclass
class AttemptRecord:
    """Of one attempt, on the node that judges. `directory`: where the ledger is."""

    directory: Path
    attempt: int = 1
    _stage: str = ""

    def asked(self, what: dict[str, Any]) -> None:
        ahead = datetime.now().astimezone().utcoffset()
        self._add(asked=what, utc_offset=round(ahead.total_seconds()) if ahead else 0)

    def reached(self, progress: Progress | None) -> None:
        """Each stage once: how far it counts is no news."""
        stage = (progress.stage if progress else None) or ""
        words = "".join(letter for letter in stage if not letter.isdigit())
        if words and words != self._stage:
            self._stage = words
            self._add(stage=stage)

    def _add(self, **fields: Any) -> None:
        """A parameter that JSON cannot hold costs the line, not the training."""
        try:
            append(self.directory / RECORD_NAME, Note(time=datetime.now(UTC), attempt=self.attempt, **fields))
        except (OSError, ValueError) as error:
            logger.warning("%s lacks a line: %s", self.directory / RECORD_NAME, error)
