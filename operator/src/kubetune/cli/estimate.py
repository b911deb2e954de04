"""`kubetune estimate`: finds the model's shape, and prints the figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import click
import yaml

from kubetune.cli.documents import read_job
from kubetune.cli.errors import UserError
from kubetune.cli.model_shape import bound, find_shape, quantity
from kubetune.cli.offline import parse
from kubetune.display.news import size
from kubetune.estimate import Assumptions, Estimate, Figure, estimate
from kubetune.estimate.figures import BASES, SUMMED, total

FITS, DOES_NOT_FIT = 0, 1


@dataclass(frozen=True)
class Options:
    """The command line, as click has checked it."""

    file: str
    model_config: str | None
    volume: tuple[str, ...]
    state_dir: str
    gpu_memory: str | None
    sharding: Literal["full", "hybrid"]
    write_speed: str | None
    output: str


def estimate_file(options: Options) -> int:
    """Prints what the job of a file needs; the exit code."""
    job = parse(read_job(options.file).job, options.file)
    claims = Path(options.state_dir) / "volumes"
    shape = find_shape(job, options.model_config, bound(options.volume), claims)
    result = estimate(job, shape, assumptions(options))
    if options.output == "table":
        for line in lines(result):
            click.echo(line)
    else:
        document = result.to_dict()
        text = json.dumps(document, indent=2) if options.output == "json" else yaml.safe_dump(document, sort_keys=False)
        click.echo(text.rstrip("\n"))
    return DOES_NOT_FIT if result.fit and result.fit.verdict == "no" else FITS


def assumptions(options: Options) -> Assumptions:
    usual = Assumptions(quantity("--gpu-memory", options.gpu_memory), sharding=options.sharding)
    speed = quantity("--write-speed", options.write_speed)
    if speed is not None and speed <= 0:
        raise UserError(f"--write-speed {options.write_speed}: not more than 0; write for instance 1G")
    return usual if speed is None else replace(usual, write_speed=(speed, speed))


def lines(result: Estimate) -> Iterator[str]:
    """For people: a section each, every figure with its formula and the number of its source; the verdict last."""
    plan, shape = result.plan, result.shape
    who = "process" if plan.device == "cpu" else "GPU"
    sources = Sources()
    yield f"{shape.architecture}: {shape.parameters:,} parameters, by {shape.origin}; {plan.nodes} x {plan.procs} ranks"
    for moment, parts in result.moments.items():
        tokens = f" of {plan.max_tokens} tokens" if moment == "a mini-batch" else ""
        yield from section(f"Memory of one {who}: {moment}{tokens}", [*parts, total("together", parts)], sources)
    yield from section("Memory of the first node", result.host, sources)
    yield from section("Disk", result.storage, sources)
    yield from section("Time", result.times, sources)
    yield from ("", click.style("Sources", bold=True), *sources.listed())
    yield from (f"  {basis}: {meaning}" for basis, meaning in BASES.items())
    yield ""
    yield from (f"Note: {each}" for each in result.notes)
    yield from verdict(result, who)


def verdict(result: Estimate, who: str) -> Iterator[str]:
    suffices, why = result.grace
    yield from ("", click.style(f"Peak of one {who}: {value(result.peak)}.", bold=True))
    yield from (click.style(f"Does the grace period suffice? {suffices}.", bold=True), f"  {why}")
    if result.fit:
        yield from (click.style(f"Does it fit? {result.fit.verdict}.", bold=True), f"  {result.fit.why}", f"  {suggestion(result)}")


class Sources:
    """Each source gets a number when it is first named."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, source: str) -> int:
        return self._numbers.setdefault(source, len(self._numbers) + 1)

    def listed(self) -> Iterator[str]:
        return (f"  [{number}] {source}" for source, number in self._numbers.items())


def suggestion(result: Estimate) -> str:
    found = result.fit
    if found is None or found.suggested is None:
        return "suggested maxTokensPerGpu: none that is sure to hold the longest sample"
    at_most = f"; by the hopeful end {found.at_most}" if found.at_most and found.at_most != found.suggested else ""
    return f"suggested maxTokensPerGpu: {found.suggested}{at_most}"


def section(title: str, figures: list[Figure], sources: Sources) -> Iterator[str]:
    yield ""
    yield click.style(title, bold=True)
    for each in figures:
        number = sources.number(each.source) if each.source != SUMMED else None
        told = each.formula if number else "the sum of the above"
        yield f"  {each.what:<34} {value(each):>20}  {each.basis:<8}  {told}" + (f" [{number}]" if number else "")


def value(figure: Figure) -> str:
    """One number where both ends read alike."""
    told = size_of if figure.unit == "bytes" else seconds
    low, high = told(figure.low), told(figure.high)
    return low if low == high else f"{low} to {high}"


def size_of(count: float) -> str:
    return size(round(count))


def seconds(count: float) -> str:
    if count < 90:
        return f"{count:.2g} s"
    return f"{count / 60:.0f} min" if count < 5400 else f"{count / 3600:.1f} h"
