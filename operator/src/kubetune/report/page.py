"""The page: one HTML document that needs nothing else. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from math import isfinite

from kubetune.report.attempts import KILLED, SUCCEEDED, Try
from kubetune.report.charts import Curve, apart, by_step, chart, colour
from kubetune.report.details import checkpoints, data_profile, every_step, goodput, spec_and_versions, stages
from kubetune.report.lanes import MOST_LANES, lanes, marks, waited
from kubetune.report.markup import Column, moment, section, table, tiles
from kubetune.report.metrics import Step
from kubetune.report.story import Fault, Story
from kubetune.report.style import STYLE
from kubetune.report.timeline import Timeline, since, time_ticks
from kubetune_trainer.units import size

ATTEMPTS = (
    *(Column(name) for name in ("Attempt", "Began (UTC)", "Took")),
    Column("Steps", long=True),
    Column("Went on from", long=True),
    Column("Ended"),
    Column("In its own words", long=True),
)


def page(story: Story, version: str, now: datetime) -> str:
    """The whole document. `version`: kubetune's own."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{escape(story.title)}: {escape(story.verdict.word)}</title><style>{STYLE}</style></head><body>"
        + head(story)
        + "<main>"
        + section("Loss by step", loss_by_step(story))
        + section("Over time", over_time(story))
        + section("Attempts", attempts(story))
        + section("Before the first step", stages(story.tries))
        + section("Where the time went", goodput(story.spent))
        + section("Checkpoints", checkpoints(story.fates))
        + section("Data", data_profile(story.data))
        + section("What was trained", spec_and_versions(story))
        + section("Figures", every_step(story))
        + f"</main>{foot(story, version, now)}</body></html>\n"
    )


def head(story: Story) -> str:
    verdict = story.verdict
    return (
        f'<header><h1>{escape(story.title)}</h1><p class="soft">{escape(story.subtitle)}</p>'
        f'<div class="verdict {verdict.tone}"><b>{escape(verdict.word)}</b><p>{escape(verdict.sentence)}</p></div>'
        f"{tiles(key_figures(story))}</header>"
    )


def key_figures(story: Story) -> list[tuple[str, str]]:
    losses, last = story.losses, story.steps[-1].step if story.steps else None
    good = [fate for fate in story.fates if fate.kept and fate.kind != "full-state"]
    line = story.timeline
    return [
        ("Steps", "" if last is None else f"{last:,} of {story.total_steps:,}" if story.total_steps else f"{last:,}"),
        ("Loss", f"{losses[0]:.4g} → {losses[-1]:.4g}" if losses else ""),
        ("Lowest loss", f"{min(losses):.4g}" if losses else ""),
        ("Time", since(line.end - line.begin) if line else ""),
        ("Attempts", str(len(story.tries))),
        ("Newest weights", f"step {good[-1].step or 0:,}, {size(good[-1].bytes or 0)}" if good else "none"),
    ]


def loss_by_step(story: Story) -> str:
    curves, ticks = by_step([(each.number, [(step.step, step.loss) for step in each.kept]) for each in story.tries])
    drawn = chart("Loss", "mean per token, by optimizer step", curves, ticks)
    return drawn + legend(story.tries) + not_finite(story.steps) if drawn else not_finite(story.steps)


def legend(tries: Sequence[Try]) -> str:
    """Which colour is which attempt; where colours come again, that they do."""
    if len(tries) < 2:
        return ""
    if len(tries) > MOST_LANES:
        return '<div class="legend"><span>the colour changes with every attempt; steps that were done again count once</span></div>'
    chips = "".join(
        f'<span><i class="chip fill {colour(each.number)}"></i>attempt {each.number}</span>' for each in tries if each.kept
    )
    return f'<div class="legend">{chips}<span>steps that were done again count once, as they were done last</span></div>'


def not_finite(steps: Sequence[Step]) -> str:
    bad = [step.step for step in steps if step.loss is not None and not isfinite(step.loss)]
    return f'<p class="state failed">The loss was not finite at {len(bad)} step(s), first at step {bad[0]}.</p>' if bad else ""


def over_time(story: Story) -> str:
    """Everything on one axis; throughput in tokens where they are known of all ranks."""
    line = story.timeline
    if line is None:
        return ""
    ticks, through = apart(time_ticks(line)), marks(story.faults, line)
    tokens = any(step.tokens_per_second is not None for step in story.steps)
    panels = (
        ("Loss", "mean per token", "loss"),
        ("Validation loss", "mean per token, held-out samples", "validation_loss"),
        ("Throughput", "tokens/s, all ranks", "tokens_per_second") if tokens else ("Throughput", "samples/s", "samples_per_second"),
        ("GPU memory", "GB, the first rank's", "memory_gb"),
        ("Learning rate", "", "learning_rate"),
    )
    drawn = "".join(chart(title, unit, timed(story.tries, name, line), ticks, through) for title, unit, name in panels)
    return lanes(story.tries, story.fates, story.faults, line, ticks) + key(story) + told(story.faults) + drawn


def timed(tries: Sequence[Try], name: str, line: Timeline) -> list[Curve]:
    """One curve an attempt, of the steps that count."""
    return [Curve(each.number, [(line.place(step.time), getattr(step, name)) for step in each.kept if step.time]) for each in tries]


def key(story: Story) -> str:
    """What the lanes' signs mean; those that are there."""
    first = colour(story.tries[0].number)
    signs = [
        ('<i class="chip before"></i>', "before the first step", True),
        (f'<i class="chip fill {first}"></i>', "trained and kept", bool(story.steps)),
        (f'<i class="chip lost {first}"></i>', "lost and done again", any(len(t.kept) < len(t.logged) for t in story.tries)),
        ('<i class="chip diamond"></i>', "checkpoint verified (thin: gone since)", bool(story.fates)),
        *(('<i class="chip gap"></i>', waited(wait), True) for wait in (story.timeline.waits if story.timeline else ())),
    ]
    return f'<div class="legend">{"".join(f"<span>{sign}{text}</span>" for sign, text, there in signs if there)}</div>'


def told(faults: Sequence[Fault]) -> str:
    """The list that the flags' numbers refer to."""
    lines = "".join(
        f"<li><b>{escape(each.title)}</b> (attempt {each.attempt}, {moment(each.time)} UTC)<br/>{escape(each.text)}</li>"
        for each in faults
    )
    return f'<ol class="faults">{lines}</ol>' if lines else ""


def attempts(story: Story) -> str:
    return table(ATTEMPTS, (attempt_row(each) for each in story.tries))


def attempt_row(one: Try) -> list[str]:
    numbers = [step.step for step in one.logged]
    steps = f"{numbers[0]:,} to {numbers[-1]:,}" if numbers else "none"
    again = len(one.logged) - len(one.kept)
    start = f"step {one.resumed_step}" if one.resumed_step is not None else (one.resumed_from or "the start")
    tone = "failed" if one.failed else "verified" if one.verdict == SUCCEEDED else ""
    return [
        f'<b class="{colour(one.number)}">{one.number}</b>',
        moment(one.began),
        since(one.ended - one.began) if one.began and one.ended else "",
        f"{steps}, of which {again} done again" if again else steps,
        escape(start),
        f'<span class="state {tone}">{escape(one.verdict)}</span>',
        escape(one.message or ("it said nothing of its end" if one.verdict == KILLED else "")),
    ]


def foot(story: Story, version: str, now: datetime) -> str:
    torn = f" {story.torn_lines} torn line(s) of the ledger were passed over." if story.torn_lines else ""
    place = f" from {escape(story.directory)}" if story.directory else ""
    return f"<footer>Made by kubetune {escape(version)} on {moment(now)} UTC{place}. Times are UTC.{torn}</footer>"
