"""What was found, for people and for programs: text, JSON, SARIF and GitHub's annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kubetune.api.errors import FieldError
from kubetune.validation.check import Checked, FileReport
from kubetune.validation.sarif import sarif

Reports = Sequence[FileReport]


def checked(reports: Reports) -> Iterator[Checked]:
    return (each for report in reports for each in report.checked)


def place(each: Checked, error: FieldError) -> str:
    """As compilers write it, so that editors and terminals find it."""
    return f"{each.file}:{error.line}" if error.line else each.file


def told(error: FieldError) -> str:
    """The error without the line, where that is all that its field says."""
    field = "" if error.line and error.field == f"line {error.line}" else f"{error.field}: "
    return f"{field}{error.message}; {error.remedy}"


def valid_lines(reports: Reports) -> Iterator[str]:
    return (f"{each.file}: {each.kind} {each.namespace}/{each.name} is valid" for each in checked(reports) if each.valid)


def error_lines(reports: Reports) -> Iterator[str]:
    return (f"{place(each, error)}: {told(error)}" for each in checked(reports) for error in each.errors)


def summary(reports: Reports) -> str:
    """One line, as: 3 jobs are valid, 1 is not; skipped: 2 documents of other kinds, 4 files without a job."""
    every = list(checked(reports))
    bad = sum(1 for each in every if not each.valid)
    good = len(every) - bad
    others = sum(len(report.skipped) for report in reports)
    empty = sum(1 for report in reports if not report.checked and not report.skipped)
    said = [
        f"{count(good, 'job')} {'is' if good == 1 else 'are'} valid" + (f", {bad} {'is' if bad == 1 else 'are'} not" if bad else "")
    ]
    left_out = [count(others, "document") + " of other kinds"] if others else []
    left_out += [count(empty, "file") + " without a job"] if empty else []
    return "; ".join(said + ([f"skipped: {', '.join(left_out)}"] if left_out else []))


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def as_json(reports: Reports) -> str:
    every = list(checked(reports))
    document = {
        "files": len(reports),
        "jobs": len(every),
        "invalid": sum(1 for each in every if not each.valid),
        "skipped": sum(len(report.skipped) for report in reports),
        "results": [result(each) for each in every],
    }
    return json.dumps(document, indent=2)


def result(each: Checked) -> dict[str, Any]:
    head = {"file": each.file, "line": each.line, "kind": each.kind, "namespace": each.namespace, "name": each.name}
    errors = [
        {"line": e.line, "field": e.field, "value": printable(e.value), "message": e.message, "remedy": e.remedy}
        for e in each.errors
    ]
    return {**head, "valid": each.valid, "errors": errors}


def printable(value: object) -> object:
    """JSON's own values as they are, everything else (a date, for instance) as text."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value


def as_sarif(reports: Reports) -> str:
    return json.dumps(sarif(list(checked(reports))), indent=2)


def as_github(reports: Reports) -> str:
    """Workflow commands: GitHub shows each at its line of a pull request (docs.github.com, Workflow commands)."""
    return "\n".join(annotation(each, error) for each in checked(reports) for error in each.errors)


def annotation(each: Checked, error: FieldError) -> str:
    parts = {"file": each.file, "line": error.line, "title": f"{each.kind or 'job'} {each.name}".strip()}
    properties = ",".join(f"{key}={escaped(value, ':,')}" for key, value in parts.items() if value is not None)
    return f"::error {properties}::{escaped(told(error))}"


def escaped(value: object, more: str = "") -> str:
    """As the runner reads it back: % first."""
    text = str(value)
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


FORMATS: dict[str, Callable[[Reports], str]] = {"json": as_json, "sarif": as_sarif, "github": as_github}
"""By the name that `-o` takes; text is two streams, and so not among them."""
