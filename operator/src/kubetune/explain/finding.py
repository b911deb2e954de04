"""One answer: what is the matter, what shows it, what to type next."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """What the reader has to do about it."""

    BLOCKED = "blocked"
    FAILED = "failed"
    WAITING = "waiting"
    SLOW = "slow"
    FINE = "fine"

    @property
    def needs_somebody(self) -> bool:
        """Nothing goes on by itself."""
        return self in (Severity.BLOCKED, Severity.FAILED)


ORDER = list(Severity)


@dataclass(frozen=True)
class Finding:
    """`reason` is one word for programs."""

    severity: Severity
    reason: str
    title: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""
    command: str = ""
    page: str = ""
    """Where the documentation says more."""

    def to_dict(self) -> dict[str, Any]:
        said = {"evidence": list(self.evidence), "remedy": self.remedy, "command": self.command, "page": self.page}
        return {"severity": self.severity.value, "reason": self.reason, "title": self.title} | {k: v for k, v in said.items() if v}
