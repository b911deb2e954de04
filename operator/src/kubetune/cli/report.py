"""`kubetune report`: reads, draws, writes one file."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

import click

from kubetune.cli.errors import UserError
from kubetune.cli.target import Target, Where, find_target
from kubetune.local.state import write_atomically
from kubetune.report import curve
from kubetune.report.page import page
from kubetune.report.sources import read_material
from kubetune.report.story import Story, story_of
from kubetune_trainer.units import size


def write_report(text: str, output: str | None, where: Where, output_dir: str | None) -> None:
    """Raises UserError."""
    target = find_target(text, where, output_dir)
    try:
        story = story_of(read_material(target.directory, target.job))
    except OSError as error:
        raise UserError(f"{target.directory} cannot be read: {error}") from error
    document = page(story, importlib.metadata.version("kubetune"), datetime.now(UTC))
    if output == "-":
        click.echo(document, nl=False)
        return
    path = Path(output or f"{target.name}-report.html")
    try:
        write_atomically(path, document)
    except OSError as error:
        raise UserError(f"--output {path} cannot be written: {error}; name another file") from error
    click.echo("\n".join([f"{path} ({size(len(document.encode()))})", *lines(story, target)]), err=True)


def lines(story: Story, target: Target) -> list[str]:
    """The page in a few words, and what would make it more."""
    said = [f"{story.verdict.word}: {story.verdict.sentence}"]
    if loss := curve([step.loss for step in story.steps]) or curve_of_status(target):
        said.append(f"Loss {loss}")
    if target.in_store and target.elsewhere:
        said.append(f"Made of the status alone; ledger and checkpoints are in {target.elsewhere}.")
    elif target.elsewhere:
        said.append(f"Made of the status alone. Curves, stages and the ledger are in {target.elsewhere}: name it by --output-dir.")
    return said


def curve_of_status(target: Target) -> str:
    if target.job is None:
        return ""
    from kubetune.client.columns import curve_of, row_of  # a directory that is named needs no client

    return curve_of(row_of(target.job))
