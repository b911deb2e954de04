"""`kubetune report`: reads, draws, writes one file."""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path

import click

from kubetune.cli.errors import UserError
from kubetune.cli.target import find_target
from kubetune.local.state import write_atomically
from kubetune.report import curve
from kubetune.report.page import page
from kubetune.report.sources import read_material
from kubetune.report.story import Story, story_of
from kubetune_trainer.units import size


def write_report(text: str, output: str | None, state_dir: str, namespace: str, output_dir: str | None) -> None:
    """Raises UserError."""
    target = find_target(text, state_dir, namespace, output_dir)
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
    click.echo("\n".join([f"{path} ({size(len(document.encode()))})", *lines(story)]), err=True)


def lines(story: Story) -> list[str]:
    """The page in a few words."""
    loss = curve([step.loss for step in story.steps])
    return [f"{story.verdict.word}: {story.verdict.sentence}", *([f"Loss {loss}"] if loss else [])]
