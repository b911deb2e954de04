"""The page's tables. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import yaml

from kubetune.report.attempts import Try
from kubetune.report.charts import bars, colour
from kubetune.report.fates import Fate
from kubetune.report.markup import Column, figure, moment, pairs, table
from kubetune.report.secrets import without_secrets
from kubetune.report.story import Story
from kubetune.report.timespent import AFTER, BEFORE, BETWEEN, KEPT, LOST, NAMES, Spent
from kubetune_trainer.units import size

ROWS = 200
"""Of steps in the table of figures; of more an even choice is shown."""

COLOURS = {KEPT: "kept", LOST: "redone", BEFORE: "before", AFTER: "after", BETWEEN: "between"}


STAGES = (Column("Attempt"), Column("What was done", long=True), Column("From (UTC)"), Column("Took", number=True))
CHECKPOINTS = (
    Column("Step", number=True),
    Column("Kind"),
    Column("State"),
    Column("Size", number=True),
    Column("Attempt"),
    Column("Verified (UTC)"),
    Column("Resumed by"),
    Column("Where, and why it went", long=True),
)
FIGURES = (
    *(Column(name, number=True) for name in ("Step", "Attempt", "Loss", "Learning rate", "Tokens/s", "Samples/s")),
    Column("Time (UTC)"),
)


def stages(tries: Sequence[Try]) -> str:
    rows = [(each.number, stage) for each in tries for stage in each.stages]
    body = (
        (f'<b class="{colour(number)}">{number}</b>', escape(stage.text), moment(stage.begin), f"{stage.seconds:.1f} s")
        for number, stage in rows
    )
    return table(STAGES, body, "plain-table")


def goodput(spent: Spent | None) -> str:
    if spent is None:
        return ""
    rows = [(NAMES[phase], seconds, COLOURS[phase]) for phase, seconds in spent.seconds.items()]
    order = sorted(rows, key=lambda row: list(NAMES.values()).index(row[0]))
    notes = []
    if spent.saving:
        notes.append(f"Of the training, {spent.saving:.1f} s went into writing full states while the ranks waited.")
    if spent.status is not None:
        own = spent.status
        notes.append(
            f"By the operator's own account (whole seconds, from the pods' side): {own.queued} s until the first pod ran, "
            f"{own.training} s of work that was kept, {own.lost} s lost, {own.waiting} s between attempts."
        )
    return bars("Where the time went", order, lambda seconds: f"{seconds:,.1f} s") + "".join(
        f'<p class="soft">{escape(note)}</p>' for note in notes
    )


def checkpoints(fates: Sequence[Fate]) -> str:
    return table(CHECKPOINTS, (checkpoint_row(fate) for fate in fates))


def checkpoint_row(fate: Fate) -> list[str]:
    good = ' <span class="soft">(last good)</span>' if fate.last_good else ""
    return [
        figure(fate.step),
        escape(fate.kind),
        f'<span class="state {fate.state.replace(" ", "-")}">{escape(fate.state)}</span>{good}',
        size(fate.bytes) if fate.bytes is not None else "",
        figure(fate.attempt),
        moment(fate.time),
        ", ".join(f"attempt {number}" for number in fate.resumed_by),
        escape(fate.path) + (f'<br/><span class="soft">{escape(fate.reason)}</span>' if fate.reason else ""),
    ]


PROFILE = (
    ("rows", "Rows in the source"),
    ("kept", "Samples trained on"),
    ("dropped_long", "Left out as too long"),
    ("dropped_short", "Left out as too short"),
    ("tokens", "Tokens"),
    ("tokens_in_loss", "Tokens in the loss"),
    ("longest", "Longest sample, tokens"),
    ("masked", "Samples with nothing in the loss"),
    ("endless", "Samples whose assistant never ends a turn"),
    ("unseen_reasoning", "Samples with reasoning that the template leaves out"),
    ("duplicates", "Rows that repeat an earlier one"),
)
SHARES = {"dropped_long": "dropped_percent", "tokens_in_loss": "loss_percent", "duplicates": "duplicate_percent"}


def data_profile(data: Mapping[str, Any] | None) -> str:
    """What data/report.py of the trainer counted."""
    if not data:
        return ""
    rows = [(name, profile_text(data, field)) for field, name in PROFILE if isinstance(data.get(field), int)]
    remarks = "".join(f'<p class="soft">{escape(str(remark))}</p>' for remark in data.get("remarks", ()))
    return pairs(rows) + remarks


def profile_text(data: Mapping[str, Any], field: str) -> str:
    share = data.get(SHARES.get(field, ""))
    about = "about " if field == "duplicates" and not data.get("duplicates_exact", True) else ""
    return f"{about}{data[field]:,}" + (f" ({share:.1f} %)" if isinstance(share, int | float) else "")


def spec_and_versions(story: Story) -> str:
    """The resource's spec where it is known, and what the trainer made of it; the library's runs have no spec."""
    asked = {name: value for name, value in (story.asked or {}).items() if value not in ({}, None)}
    spec = f"<h3>spec</h3><pre>{escape(as_yaml(story.spec))}</pre>" if story.spec else ""
    filled = f"<h3>as the trainer ran it, defaults filled in</h3><pre>{escape(as_yaml(asked))}</pre>" if asked else ""
    versions = pairs([*story.identity.items(), *(sorted(story.versions.items()))])
    return versions + beside(spec, filled) if spec else beside(versions, filled)


def beside(*parts: str) -> str:
    """In columns where there is room for them; what is empty takes none."""
    there = [f"<div>{part}</div>" for part in parts if part]
    return f'<div class="two">{"".join(there)}</div>' if there else ""


def as_yaml(value: Mapping[str, Any] | None) -> str:
    text: str = yaml.safe_dump(without_secrets(value), sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


def every_step(story: Story) -> str:
    """The numbers behind the curves."""
    rows = [(each.number, step) for each in story.tries for step in each.kept]
    rows.sort(key=lambda row: row[1].step)
    shown = chosen(len(rows))
    body = (
        (
            str(step.step),
            str(number),
            figure(step.loss),
            figure(step.learning_rate),
            figure(step.tokens_per_second),
            figure(step.samples_per_second),
            moment(step.time),
        )
        for number, step in (rows[i] for i in shown)
    )
    inside = table(FIGURES, body, "plain-table")
    count = f"all {len(rows)} steps" if len(shown) == len(rows) else f"{len(shown)} of {len(rows):,} steps"
    return f"<details><summary>{count}, as they were logged</summary>{inside}</details>" if inside else ""


def chosen(count: int) -> list[int]:
    """At most ROWS places, evenly spread, the first and the last among them."""
    if count <= ROWS:
        return list(range(count))
    return sorted({round(place * (count - 1) / (ROWS - 1)) for place in range(ROWS)})
