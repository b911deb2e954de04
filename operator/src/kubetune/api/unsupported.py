"""What the resource can say and this version does not do yet. Refused, never silently left undone.

A capability that is built leaves this table, and NOT_SUPPORTED leaves its field's description; nothing else changes.
"""

from __future__ import annotations

from collections.abc import Callable

from kubetune.api.rule import Document, Finding, Rule, text, when

S3_FIELDS = ("spec.model.uri", "spec.dataset.uri", "spec.output.uri", "spec.resumeFrom.uri")


def s3(field: str) -> Callable[[Document], list[Finding]]:
    def find(doc: Document) -> list[Finding]:
        uri = text(doc, field)
        broken = uri is not None and uri.startswith("s3://")
        return when(broken, field, uri, f"{uri!r}: s3:// is not supported by this version")

    return find


def s3_rule(field: str) -> Rule:
    parent = f"self.{field.split('.')[1]}"
    return Rule(
        name=f"{field.split('.')[1].lower()}-not-from-s3",
        field=field,
        message="s3:// is not supported by this version",
        remedy="copy it to a PersistentVolumeClaim and use pvc://claim/path",
        find=s3(field),
        cel=f"!has({parent}) || !has({parent}.uri) || !{parent}.uri.startsWith('s3://')",
    )


UNSUPPORTED_RULES = tuple(s3_rule(field) for field in S3_FIELDS)
