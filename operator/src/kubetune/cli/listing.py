"""`kubetune get`: jobs as a table, as JSON, YAML or names."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
import yaml

from kubetune.api.base import GROUP
from kubetune.api.status import Phase
from kubetune.cli.connecting import client_of, exit_code
from kubetune.cli.errors import UserError
from kubetune.client import Client, JobHandle
from kubetune.client.columns import Column, Row, columns, curve_of, row_of
from kubetune.client.targets import KINDS, is_kind
from kubetune.cluster import Manifest

GAP = "   "
COLOURS = {Phase.SUCCEEDED: "green", Phase.FAILED: "red", Phase.RUNNING: "blue", Phase.RESTARTING: "yellow"}


def get_jobs(names: Sequence[str], *, all_namespaces: bool, output: str, **where: Any) -> int:
    """The exit code. Raises UserError."""

    def act() -> int:
        client = client_of(**where)
        found = list(chosen(client, names, all_namespaces=all_namespaces))
        if not found and output in ("table", "wide"):
            place = "in any namespace" if all_namespaces else f"in namespace {client.namespace}"
            click.echo(f"There is no job {place}.", err=True)
            return 0
        if len(found) == 1 == len(names) and not is_kind(names[0]):
            print_one(found[0], output)
            if output in ("table", "wide") and (loss := curve_of(row_of(found[0].manifest))):
                click.echo(f"\nLoss{GAP}{loss}")
        else:
            print_all(found, output, namespaces=all_namespaces)
        return 0

    return exit_code(act)


def chosen(client: Client, names: Sequence[str], *, all_namespaces: bool) -> Iterable[JobHandle]:
    """Those that are named, in that order, or all."""
    if not names:
        yield from client.list(all_namespaces=all_namespaces)
    for name in names:
        if is_kind(name):
            yield from client.list(name, all_namespaces=all_namespaces)
        elif all_namespaces:
            raise UserError(f"{name}: a job of that name may be in several namespaces; name one with -n instead of -A")
        else:
            yield client.get(name)


def print_one(job: JobHandle, output: str) -> None:
    if output in ("json", "yaml"):
        click.echo(text_of(job.manifest, output), nl=False)
    else:
        print_all([job], output)


def print_all(jobs: Sequence[JobHandle], output: str, *, namespaces: bool = False) -> None:
    if output in ("json", "yaml"):
        items = {"apiVersion": "v1", "kind": "List", "items": [job.manifest for job in jobs]}
        click.echo(text_of(items, output), nl=False)
    elif output == "name":
        for job in jobs:
            click.echo(f"{KINDS[job.kind][0]}.{GROUP}/{job.name}")
    else:
        shown = columns(wide=output == "wide", namespaces=namespaces)
        for line in table([row_of(job.manifest) for job in jobs], shown, colour=coloured if sys.stdout.isatty() else plain):
            click.echo(line)


def text_of(document: Manifest, output: str) -> str:
    if output == "json":
        return json.dumps(document, indent=2) + "\n"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)


def table(rows: Sequence[Row], shown: Sequence[Column], colour: Callable[[Row, Column, str], str]) -> Iterable[str]:
    """Lines as kubectl writes them: whatever is cut off, a terminal cuts off."""
    texts = [[column.text(row) for column in shown] for row in rows]
    widths = [max(len(column.title), *(len(line[place]) for line in texts)) for place, column in enumerate(shown)]
    yield GAP.join(padded(column.title, width, column) for column, width in zip(shown, widths, strict=True)).rstrip()
    for row, line in zip(rows, texts, strict=True):
        cells = zip(shown, line, widths, strict=True)
        yield GAP.join(colour(row, column, padded(text, width, column)) for column, text, width in cells).rstrip()


def padded(text: str, width: int, column: Column) -> str:
    return text.rjust(width) if column.right else text.ljust(width)


def plain(_row: Row, _column: Column, text: str) -> str:
    return text


def coloured(row: Row, column: Column, text: str) -> str:
    colour = COLOURS.get(row.status.phase) if column.title == "PHASE" and row.status.phase else None
    return click.style(text, fg=colour) if colour else text
