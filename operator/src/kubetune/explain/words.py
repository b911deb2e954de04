"""Times and lines, for people."""

from __future__ import annotations

from datetime import datetime

from kubetune.explain.evidence import Evidence


def span(seconds: float) -> str:
    """As 45 s, 12 min, 3.5 h or 2.1 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def ago(evidence: Evidence, moment: datetime | None) -> str:
    return f"{span(evidence.since(moment))} ago" if moment else "at an unknown time"


def last_line(text: str, limit: int = 300) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-limit:] if lines else ""
