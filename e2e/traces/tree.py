"""A trace as text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import shorten

from e2e.traces.receiver import Received

TOLD = ("phase", "reason", "last_step", "resumed_from", "attempts", "restarts")
"""Attributes that are shown, without their `kubetune.`."""

WIDTH, MESSAGE = 18, 90


def tree(spans: Sequence[Received]) -> str:
    """Spans of one trace: when each began after the first, how long it took, and what is said of it; checkpoints by a dot."""
    ids = {each.id for each in spans}
    begin = min(each.start for each in spans)
    roots = [each for each in spans if each.parent not in ids]
    lines = [f"trace {spans[0].trace}", *(line for root in in_order(roots) for line in branch(root, spans, begin.timestamp(), 0))]
    return "\n".join(line.rstrip() for line in lines)


def in_order(spans: Sequence[Received]) -> list[Received]:
    return sorted(spans, key=lambda each: (each.start, -each.end.timestamp()))


def branch(span: Received, spans: Sequence[Received], begin: float, depth: int) -> Iterator[str]:
    """The span, and what is within it in order: an event has no id."""
    yield line(span, begin, depth)
    for each in in_order([*span.events, *(each for each in spans if each.parent == span.id)]):
        if each.id:
            yield from branch(each, spans, begin, depth + 1)
        else:
            yield f"{after(each.start.timestamp() - begin)}          {'  ' * (depth + 1)}· {said(each)}"


def line(span: Received, begin: float, depth: int) -> str:
    seconds = (span.end - span.start).total_seconds()
    name = f"{'  ' * depth}{span.name}"
    error = "ERROR" if span.status == "STATUS_CODE_ERROR" else ""
    facts = [f"{each}={span.attributes[f'kubetune.{each}']}" for each in TOLD if f"kubetune.{each}" in span.attributes]
    message = f'"{shorten(span.message, MESSAGE, placeholder=" ...")}"' if span.message else ""
    told = "  ".join(filter(None, (error, *facts, message)))
    return f"{after(span.start.timestamp() - begin)} {seconds:5.1f} s  {name:{WIDTH}} {told}"


def said(event: Received) -> str:
    facts = (
        f"{name}={event.attributes[f'kubetune.{name}']}" for name in ("step", "kind") if f"kubetune.{name}" in event.attributes
    )
    return "  ".join((event.name, *facts))


def after(seconds: float) -> str:
    return f"+{seconds // 60:02.0f}:{seconds % 60:04.1f}"
