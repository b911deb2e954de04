"""Writes each line of the backend's metrics before the training goes on.

Both backends hand the line to a daemon thread, which ends with the process: the last step's line is lost when the process is
the quicker of the two, and a run that reached its end looks as if it had not.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

PRIVATE_NAMES = (
    "instructlab.training.async_logger:AsyncStructuredLogger._write_logs_to_file",
    "mini_trainer.async_structured_logger:AsyncStructuredLogger._write_logs_to_file",
)


def install(*, module: str) -> None:
    """`module`: where the backend's AsyncStructuredLogger is. What else it does with a line it goes on doing."""
    logger = importlib.import_module(module).AsyncStructuredLogger
    hand_over = logger.log_sync

    def log_sync(self: Any, data: Mapping[str, Any]) -> None:
        append(Path(self.file_name), data)
        hand_over(self, data)

    async def written_already(self: Any, data: Mapping[str, Any]) -> None:
        del self, data

    logger.log_sync = log_sync
    logger._write_logs_to_file = written_already  # noqa: SLF001 - see PRIVATE_NAMES


def append(file: Path, data: Mapping[str, Any]) -> None:
    """One line with its time, as the backends write it.

    Raises:
        OSError: it could not be written, for instance for want of space.

    """
    line = json.dumps({**data, "timestamp": datetime.now().isoformat()}, default=str)  # noqa: DTZ005 - local time, as theirs
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
