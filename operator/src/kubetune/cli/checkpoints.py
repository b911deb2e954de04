"""`kubetune checkpoints`: the ledger of a job, its checkpoints read again, one copied out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from kubetune.cli.errors import UserError
from kubetune.cli.target import Target
from kubetune.report.attempts import steps_of, tries_of
from kubetune.report.fates import Fate, fates, of_status
from kubetune.report.seals import CopyError, chosen, copy_out, place_of, problems, there
from kubetune.report.sources import Material, read_material
from kubetune_trainer.units import size

DAMAGED = 1
HEAD = ["STEP", "KIND", "STATE", "SIZE", "ATTEMPT", "VERIFIED (UTC)", "WHERE"]


@dataclass(frozen=True)
class Row:
    """A checkpoint, and with --verify what is wrong with it; None: it was not looked at. `gone`: it counts, and is not there."""

    fate: Fate
    problems: list[str] | None = None
    gone: bool = False

    @property
    def state(self) -> str:
        """In a word."""
        if self.problems:
            return "damaged"
        if self.gone:
            return "missing"
        return f"{self.fate.state}, read again" if self.problems == [] else self.fate.state


def list_checkpoints(target: Target, output: str, *, verify: bool) -> int:
    """Prints them; 1 if one that counts is not as it was verified."""
    material = material_of(target)
    told = fates(material.ledger.entries, material.pointer) or of_status(material.status.checkpoints)
    directory = files_of(target, material, "--verify") if verify else material.directory
    rows = [row_of(fate, directory, target.in_store, verify=verify) for fate in told]
    if output == "table":
        click.echo(table(rows) if rows else "No checkpoint was told of yet.")
    else:
        print_document(rows, output)
    damaged = [row for row in rows if row.problems]
    for row in damaged:
        click.echo(f"{row.fate.path}: {'; '.join(row.problems or ())}", err=True)
    return DAMAGED if damaged else 0


def copy(target: Target, which: str, to: str) -> int:
    """The exit code: 1, and the reason, where nothing was copied."""
    material = material_of(target)
    directory = files_of(target, material, "--copy-out")
    try:
        fate = chosen(which, fates(material.ledger.entries, material.pointer), directory, steps_of(tries_of(material)))
        count = copy_out(place_of(fate, directory), Path(to))
    except CopyError as error:
        click.echo(f"Error: {error}", err=True)
        return DAMAGED
    click.echo(f"{to}: {fate.kind} of step {fate.step}, {size(count)}, read again after the copy")
    return 0


def row_of(fate: Fate, directory: Path | None, stored: bool, *, verify: bool) -> Row:
    if directory is None or not fate.kept:
        return Row(fate)
    return Row(fate, problems(fate, directory) if verify else None, gone=not stored and not there(fate, directory))


def files_of(target: Target, material: Material, option: str) -> Path:
    """Raises UserError: there are no files that could be read."""
    if target.in_store:
        raise UserError(f"{target.name}: {option} reads files, and the output is an object store; fetch the checkpoint first")
    if material.directory is None:
        where = f"; they are in {target.elsewhere}" if target.elsewhere else ""
        raise UserError(f"{target.name}: {option} reads files, and none of this job is here{where}: name it by --output-dir")
    return material.directory


def material_of(target: Target) -> Material:
    try:
        return read_material(target.directory, target.job)
    except OSError as error:
        raise UserError(f"{target.directory} cannot be read: {error}") from error


def table(rows: list[Row]) -> str:
    """As kubectl prints one: no line is folded, so that it can be cut and searched."""
    lines = [HEAD, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join("   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def cells(row: Row) -> list[str]:
    fate = row.fate
    return [
        "" if fate.step is None else str(fate.step),
        fate.kind,
        row.state + (" (last good)" if fate.last_good else ""),
        "" if fate.bytes is None else size(fate.bytes),
        "" if fate.attempt is None else str(fate.attempt),
        f"{fate.time:%Y-%m-%d %H:%M:%S}" if fate.time else "",
        fate.path + (f" ({fate.reason})" if fate.reason and not fate.kept else ""),
    ]


def print_document(rows: list[Row], output: str) -> None:
    documents = [document(row) for row in rows]
    if output == "json":
        click.echo(json.dumps(documents, indent=2))
    else:
        click.echo(yaml.safe_dump(documents, sort_keys=False, allow_unicode=True), nl=False)


def document(row: Row) -> dict[str, Any]:
    """Camel case as in the ledger; what is not known is left out."""
    values = asdict(row.fate)
    names = {"resumed_by": "resumedBy", "last_good": "lastGood", "manifest_sha256": "manifestSha256"}
    known = {names.get(key, key): value for key, value in values.items() if value not in (None, "")}
    known["resumedBy"] = list(row.fate.resumed_by)
    if row.fate.time is not None:
        known["time"] = row.fate.time.isoformat()
    return known if row.problems is None else {**known, "problems": row.problems}
