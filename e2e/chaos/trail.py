"""One job's part of the history. Pure."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Any, NamedTuple

from e2e.chaos.history import EVENT, JOBS, History, Record


class Finding(NamedTuple):
    """Something that must not be."""

    check: str
    job: str
    text: str


class Trail:
    """All records of one job (one UID) and of what was made for it, in order."""

    def __init__(self, records: list[Record]) -> None:
        self.records = records

    @cached_property
    def statuses(self) -> list[Record]:
        """Of the job itself; each version once."""
        return [r for r in self.records if r.kind in JOBS]

    @property
    def last(self) -> Record:
        return self.statuses[-1]

    @property
    def name(self) -> str:
        return self.last.name

    @property
    def exists(self) -> bool:
        return not self.last.deleted

    @property
    def ended_at(self) -> float | None:
        """When the job was deleted, if it was."""
        return next((r.time for r in self.statuses if r.deleted or r.deleting), None)

    @property
    def phase(self) -> str | None:
        return self.last.status.get("phase")

    @property
    def attempts(self) -> list[dict[str, Any]]:
        return list(self.last.status.get("attempts") or [])

    @property
    def next_number(self) -> int:
        return int(self.attempts[-1]["number"]) + 1 if self.attempts else 1

    @property
    def events(self) -> list[Record]:
        """Each object once."""
        return list({r.uid: r for r in self.records if r.kind == EVENT and not r.deleted}.values())


def trails(history: History) -> list[Trail]:
    """One for each job that ever was, by first sight. Records of no known job are left out: orphans() has its own way."""
    by_job: dict[str, list[Record]] = defaultdict(list)
    for record in history.records:
        by_job[record.job_uid].append(record)
    return [trail for trail in (Trail(records) for records in by_job.values()) if trail.statuses]
