"""The attempts as bars on the time axis: what came before the first step, what was trained and kept, what was lost. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from kubetune.report.attempts import Try
from kubetune.report.charts import Mark, Ticks, colour, percent, x_labels
from kubetune.report.fates import Fate
from kubetune.report.story import Fault
from kubetune.report.timeline import Timeline, Wait, since

MOST_LANES = 8
"""More attempts than that share one: they follow one another."""


def lanes(tries: Sequence[Try], fates: Sequence[Fate], faults: Sequence[Fault], line: Timeline, ticks: Ticks) -> str:
    """A figure over the same axis as the charts below it."""
    groups = [[each] for each in tries] if len(tries) <= MOST_LANES else [list(tries)]
    drawn = "".join(lane(group, fates, faults, line) for group in groups)
    title = "<figcaption>Attempts <span>and what befell them</span></figcaption>"
    return f'<figure class="chart lanes">{title}{drawn}{axis(ticks)}</figure>'


def lane(tries: Sequence[Try], fates: Sequence[Fate], faults: Sequence[Fault], line: Timeline) -> str:
    numbers = {each.number for each in tries}
    inside = "".join(bar(each, line) for each in tries)
    inside += "".join(saved(fate, line) for fate in fates if fate.attempt in numbers)
    inside += "".join(fault(number, each, line) for number, each in enumerate(faults, 1) if each.attempt in numbers)
    label = str(tries[0].number) if len(tries) == 1 else ""
    return f'<div class="plot lane"><div class="ys"><b>{label}</b></div><div class="box">{inside}</div></div>'


def axis(ticks: Ticks) -> str:
    return f'<div class="plot axis"><div class="ys"></div><div class="box">{x_labels(ticks)}</div></div>'


def bar(one: Try, line: Timeline) -> str:
    """In up to four pieces."""
    if one.began is None or one.ended is None:
        return ""
    times = [step.time for step in one.logged if step.time]
    first, last = (times[0], times[-1]) if times else (one.ended, one.ended)
    kept = max((step.time for step in one.kept if step.time), default=first)
    return "".join(
        (
            piece(line, one.began, first, "before", f"attempt {one.number}: before its first step"),
            piece(line, first, kept, f"fill {colour(one.number)}", f"attempt {one.number}: trained, kept"),
            piece(line, kept, last, f"lost {colour(one.number)}", f"attempt {one.number}: trained, lost and done again"),
            piece(line, last, one.ended, "after", f"attempt {one.number}: after its last step"),
        )
    )


def piece(line: Timeline, begin: datetime, end: datetime, kind: str, text: str) -> str:
    left, right = line.place(begin), line.place(end)
    if right <= left:
        return ""
    title = escape(f"{text}, {since(end - begin)}")
    return f'<i class="{kind}" style="left:{percent(left)};width:{percent(right - left)}" title="{title}"></i>'


def saved(fate: Fate, line: Timeline) -> str:
    """A diamond, hollow where the checkpoint is no longer there."""
    if fate.time is None:
        return ""
    text = escape(f"{fate.kind} of step {fate.step}: {fate.state}")
    return f'<i class="diamond {"" if fate.kept else "gone"}" style="left:{percent(line.place(fate.time))}" title="{text}"></i>'


def fault(number: int, one: Fault, line: Timeline) -> str:
    """A number that the list below explains."""
    place = line.place(one.time)
    return f'<b class="flag" style="left:{percent(place)}" title="{escape(one.title)}">{number}</b>'


def waited(wait: Wait) -> str:
    return f"nothing ran for {since(wait.end - wait.begin)}: cut short"


def marks(faults: Sequence[Fault], line: Timeline) -> list[Mark]:
    """Of the charts on the same axis."""
    found = [Mark(line.place(each.time), "fault", f"attempt {each.attempt}: {each.title}") for each in faults]
    return found + [Mark(line.place(wait.begin + (wait.end - wait.begin) / 2), "wait", waited(wait)) for wait in line.waits]
