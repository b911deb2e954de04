"""`kubetune validate`: files, folders and standard input, read and told."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kubetune.api import KINDS, FieldError
from kubetune.cli.errors import UserError
from kubetune.validation import FORMATS, Checked, FileReport, check_text
from kubetune.validation.formats import error_lines, summary, valid_lines

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One text to check. `named`: the user gave it, it was not found in a folder."""

    path: str
    named: bool


def validate_all(paths: Sequence[str], output: str, *, quiet: bool, allow_empty: bool) -> int:
    """Checks every job in `paths` and says what was found; the exit code."""
    reports = [check_source(source) for path in paths for source in sources(path)]
    tell(reports, output, quiet=quiet)
    if not any(report.checked for report in reports) and not allow_empty:
        raise UserError(nothing_found(paths, reports))
    return UserError.exit_code if any(not each.valid for report in reports for each in report.checked) else 0


def sources(path: str) -> Iterator[Source]:
    """The file, or the YAML and JSON files of the folder, in a fixed order; hidden folders are left out."""
    if path == STDIN or not Path(path).is_dir():
        yield Source(path, named=True)
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            if file.endswith(SUFFIXES):
                yield Source(str(Path(folder, file)), named=False)


def check_source(source: Source) -> FileReport:
    """A file that cannot be read is an error of that file: the others are checked all the same."""
    name = "stdin" if source.path == STDIN else source.path
    try:
        text = sys.stdin.read() if source.path == STDIN else Path(source.path).read_text(encoding="utf-8")
    except FileNotFoundError:
        problem = FieldError("file", None, "does not exist", "check the path")
    except (OSError, UnicodeDecodeError) as error:
        problem = FieldError("file", None, f"cannot be read ({error})", "give a text file of YAML")
    else:
        return check_text(name, text, named=source.named)
    return FileReport(name, (Checked(name, errors=(problem,)),))


def tell(reports: Sequence[FileReport], output: str, *, quiet: bool) -> None:
    """Programs get one document on standard output; people get errors and the summary on standard error."""
    if output in FORMATS:
        text = FORMATS[output](reports)
        click.echo(text, nl=bool(text))
    else:
        for line in () if quiet else valid_lines(reports):
            click.echo(line)
        for line in error_lines(reports):
            click.secho(line, fg="red", err=True)
    if not quiet:
        click.echo(summary(reports), err=True)


def nothing_found(paths: Sequence[str], reports: Sequence[FileReport]) -> str:
    kinds = sorted({kind for report in reports for kind in report.skipped})
    there = (
        f": {len(reports)} files, documents of kind {', '.join(kinds)}" if kinds else f": {len(reports)} files" if reports else ""
    )
    return f"no {' or '.join(KINDS)} in {', '.join(paths)}{there}; check the path, or pass --allow-empty"
