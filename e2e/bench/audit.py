"""From the API server's audit log to writes a job, by who wrote and what. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

Part = Literal["objects", "status", "events"]
PARTS: tuple[Part, ...] = ("objects", "status", "events")
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


class Write(NamedTuple):
    """What one line of the log says: `osftjobs/status`, patched by `kubetune`."""

    user: str
    verb: str
    resource: str
    part: Part
    code: int


def writes(lines: Iterable[bytes], namespace: str) -> list[Write]:
    """The writes to objects in the namespace; each is one request, refused ones included. A torn last line is left out."""
    return [write for line in lines if line.endswith(b"\n") and (write := _write(line, namespace))]


def _write(line: bytes, namespace: str) -> Write | None:
    entry: Mapping[str, Any] = json.loads(line)
    about = entry.get("objectRef") or {}
    if about.get("namespace") != namespace or entry["verb"] not in WRITES:
        return None
    resource, sub = about["resource"], about.get("subresource")
    part: Part = "events" if resource == "events" else "status" if sub == "status" else "objects"
    code = int((entry.get("responseStatus") or {}).get("code", 0))
    return Write(short(entry["user"]["username"]), entry["verb"], f"{resource}/{sub}" if sub else resource, part, code)


def short(user: str) -> str:
    """`system:serviceaccount:operators:kubetune` -> `kubetune`."""
    return user.rsplit(":", 1)[-1]


def a_job(found: Iterable[Write], jobs: int) -> dict[str, dict[Part, float]]:
    """Writes a job by user and part, the busiest user first."""
    counts: Counter[tuple[str, Part]] = Counter((write.user, write.part) for write in found)
    totals: Counter[str] = Counter()
    for (user, _), number in counts.items():
        totals[user] += number
    return {user: {part: counts[user, part] / jobs for part in PARTS} for user, _ in totals.most_common()}


def refused(found: Iterable[Write]) -> dict[str, int]:
    """How many of each kind of write the API server answered with an error."""
    return dict(Counter(f"{w.user} {w.verb} {w.resource} {w.code}" for w in found if w.code >= 400))
