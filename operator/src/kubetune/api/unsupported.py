"""What the resource can say and this version does not do yet. Refused, never silently left undone.

A capability that is built leaves this table, and NOT_SUPPORTED leaves its field's description; nothing else changes.
"""

from __future__ import annotations

from kubetune.api.rule import Document, Finding, Rule, at, when


def tracking(doc: Document) -> list[Finding]:
    return when(at(doc, "spec.tracking") is not None, "spec.tracking", at(doc, "spec.tracking"))


UNSUPPORTED_RULES = (
    Rule(
        name="no-tracking",
        field="spec.tracking",
        message="not supported by this version",
        remedy="leave tracking out; progress is in the job's status and in the trainer's metrics file",
        find=tracking,
        cel="!has(self.tracking)",
    ),
)
