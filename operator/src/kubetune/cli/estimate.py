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
from kubetune.cli.news import size
from kubetune.cli.offline import parse
from kubetune.estimate import Assumptions, Estimate, Figure, estimate
from kubetune.estimate.figures import BASES

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
    """For people: a section each, every figure with its formula and source."""
    plan, shape = result.plan, result.shape
    who = "process" if plan.device == "cpu" else "GPU"
    yield f"{shape.architecture}: {shape.parameters:,} parameters, by {shape.origin}; {plan.nodes} x {plan.procs} ranks"
    for moment, parts in result.moments.items():
        tokens = f" of {plan.max_tokens} tokens" if moment == "a mini-batch" else ""
        yield from section(f"Memory of one {who}: {moment}{tokens}", parts)
    yield from section(f"Memory of one {who}, at its peak", [result.peak])
    yield from section("Memory of a node", result.host)
    yield from section("Disk", result.storage)
    yield from section("Time", result.times)
    suffices, why = result.grace
    yield from ("", click.style(f"Grace period: suffices? {suffices}.", bold=True), f"  {why}")
    if result.fit:
        yield from (
            "",
            click.style(f"Does it fit? {result.fit.verdict}.", bold=True),
            f"  {result.fit.why}",
            f"  {suggestion(result)}",
        )
    yield ""
    yield from (f"Note: {each}" for each in result.notes)
    yield from (f"({basis}: {meaning})" for basis, meaning in BASES.items())


def suggestion(result: Estimate) -> str:
    found = result.fit
    if found is None or found.suggested is None:
        return "suggested maxTokensPerGpu: none that is sure to hold the longest sample"
    at_most = f"; by the hopeful end {found.at_most}" if found.at_most and found.at_most != found.suggested else ""
    return f"suggested maxTokensPerGpu: {found.suggested}{at_most}"


def section(title: str, figures: list[Figure]) -> Iterator[str]:
    yield ""
    yield click.style(title, bold=True)
    for each in figures:
        yield f"  {each.what:<44} {value(each):>22}   {each.formula}"
        yield click.style(f"  {'':<44} {'':>22}   {each.source} ({each.basis})", dim=True)


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
