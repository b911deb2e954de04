import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from kubetune.report.charts import COLOURS, Curve, chart, colour
from kubetune.report.metrics import Step
from kubetune.report.page import page
from kubetune.report.secrets import LEFT_OUT, without_secrets
from kubetune.report.sources import Material
from kubetune.report.story import story_of

NOW = datetime(2026, 11, 28, 14, tzinfo=UTC)
VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that every tag is closed in its order, and collects what the tests ask for."""

    def __init__(self):
        super().__init__()
        self.open, self.tables, self.text, self.attributes = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.tables:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] != "style" and {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def text(story):
    return page(story, "0.1.0", NOW)


@pytest.fixture(scope="module")
def document(text):
    return read(text)


def test_it_is_well_formed_and_small(document, text):
    assert text.startswith("<!DOCTYPE html>")
    assert len(text.encode()) < 150_000
    assert document.tables


def test_nothing_is_fetched_from_anywhere(document, text):
    assert {name for name, _ in document.attributes} <= {
        "lang", "charset", "name", "content", "class", "style", "title", "role", "aria-label", "viewbox",
        "preserveaspectratio", "d", "scope", "data-l",
    }  # fmt: skip
    assert not re.search(r"https?:|url\(|@import|<script|<link|<img", text)


def test_the_figures_are_those_that_were_logged(document, logged):
    last = {line["step"]: (number, line) for number in (1, 2, 3) for line in logged[number]}
    head, *rows = document.tables[-1]
    assert head[:3] == ["Step", "Attempt", "Loss"]
    assert len(rows) == len(last) == 60
    for row in rows:
        number, line = last[int(row[0])]
        assert row[1] == str(number)
        said = [float(cell) for cell in row[2:6]]
        assert said == pytest.approx([line["loss"], line["lr"], line["tokens_per_second"], line["samples_per_second"]], rel=1e-5)


def test_the_curve_is_drawn_where_the_losses_are(text, story):
    """The first chart: its coordinates, turned back by its own axis, are the losses."""
    svg = text.split("<figure")[1]
    ticks = [float(value) for value in re.findall(r'<span style="top:[\d.]+%">([^<]+)</span>', svg)]
    points = [
        tuple(map(float, point))
        for point in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", "".join(re.findall(r'class="line[^>]*', svg)))
    ]
    low, high = min(ticks), max(ticks)
    drawn = {round(1 + x / 1000 * 59): low + (1 - y / 1000) * (high - low) for x, y in points}
    assert drawn == pytest.approx({step.step: step.loss for step in story.steps}, abs=(high - low) / 1000)


def test_the_verdict_is_at_the_top(document):
    said = [text for text in document.text if text.strip()]
    assert said.index("Succeeded") < said.index("Loss by step")


@pytest.mark.parametrize(
    "title",
    [
        "Loss by step",
        "Over time",
        "Attempts",
        "Before the first step",
        "Where the time went",
        "Checkpoints",
        "Data",
        "What was trained",
    ],
)
def test_what_it_tells(document, title):
    assert title in document.text


def test_attempts_have_colours_of_their_own(text, story):
    for each in story.tries:
        assert f'class="line {colour(each.number)}"' in text
    assert colour(1) == colour(1 + COLOURS)


def test_checkpoints_with_what_became_of_them(document, story):
    rows = next(table for table in document.tables if table[0][0] == "Step" and table[0][1] == "Kind")
    assert [row[2].replace(" (last good)", "") for row in rows[1:]] == [fate.state for fate in story.fates]


def test_the_data_profile(document, directory):
    profile = json.loads((directory / "attempt-3" / "data" / "node-0" / "data-report.json").read_text())
    rows = {row[0]: row[1] for table in document.tables for row in table if len(row) == 2}
    assert rows["Rows in the source"] == f"{profile['rows']:,}"
    assert rows["Tokens"] == f"{profile['tokens']:,}"
    assert rows["Tokens in the loss"] == f"{profile['tokens_in_loss']:,} ({profile['loss_percent']:.1f} %)"


def test_memory_has_a_chart_where_it_was_logged(story, text):
    assert "GPU memory" not in text
    steps = tuple(replace(step, memory_gb=60.0 + step.step) for step in story.tries[2].kept)
    tries = (*story.tries[:2], replace(story.tries[2], kept=steps))
    assert "GPU memory" in page(replace(story, tries=tries), "0", NOW)


def test_a_loss_that_is_not_finite_is_said(story):
    bad = (Step(1, loss=2.0), Step(2, loss=math.nan), Step(3, loss=math.inf), Step(4, loss=1.0))
    said = page(replace(story, steps=bad, tries=(replace(story.tries[0], kept=bad, logged=bad),)), "0", NOW)
    assert "The loss was not finite at 2 step(s), first at step 2." in said
    assert "NaN" not in "".join(re.findall(r' d="[^"]*"', said))
    read(said)


def test_a_run_without_a_spec_has_its_parameters_beside_what_it_is(story):
    told = page(replace(story, spec=None), "0", NOW)
    (columns,) = re.findall(r'<div class="two">(.*?)</section>', told, re.DOTALL)
    assert columns.startswith("<div><table")
    assert columns.count("<pre>") == 1
    assert "<div></div>" not in told
    read(told)


def test_a_page_about_nothing_is_a_page():
    document = read(page(story_of(Material()), "0.1.0", NOW))
    assert "no attempt has left anything to read" in document.text


def test_what_others_wrote_is_text_and_no_markup(story):
    evil = "<script>alert(1)</script>"
    told = page(replace(story, title=evil, verdict=replace(story.verdict, sentence=evil), directory=evil), "0", NOW)
    assert "<script>" not in told
    assert told.count("&lt;script&gt;") >= 3


def test_a_chart_of_one_point_and_of_none():
    assert 'class="line a0"' in chart("Loss", "", [Curve(1, [(0.5, 3.0)])], [])
    assert chart("Loss", "", [Curve(1, [(0.5, math.nan)]), Curve(2, [])], []) == ""


def test_a_very_long_run_makes_no_large_page(story):
    steps = tuple(Step(n, loss=1 / n, learning_rate=1e-5, time=story.timeline.begin) for n in range(1, 20_001))
    told = page(replace(story, steps=steps, tries=(replace(story.tries[0], kept=steps, logged=steps),)), "0", NOW)
    assert len(told) < 300_000
    assert "200 of 20,000 steps" in told


def test_secrets_are_left_out_of_the_spec():
    env = [
        {"name": "HF_TOKEN", "value": "hf_abc"},
        {"name": "LEVEL", "value": "3"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}},
    ]
    said = without_secrets({"template": {"env": env}, "uri": "https://user:word@host/x"})
    assert said == {"template": {"env": [{**env[0], "value": LEFT_OUT}, *env[1:]]}, "uri": f"https://{LEFT_OUT}@host/x"}
