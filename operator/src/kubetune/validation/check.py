"""From the text of a file to what is wrong with each job in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from kubetune.api import GROUP, KINDS, FieldError, InvalidJob, parse_job
from kubetune.api.documents import SourceDocument, source_documents

OURS = re.compile(rf"{re.escape(GROUP)}/|\b(?:{'|'.join(KINDS)})\b", re.IGNORECASE)
"""What every file with a job in it says somewhere: all others need not be parsed."""

JOB = re.compile(rf"^\s*[\"']?kind[\"']?\s*:\s*[\"']?(?:{'|'.join(KINDS)})\b", re.MULTILINE | re.IGNORECASE)
"""The line that makes a file worth an error though it is no YAML (a chart's template, for instance, is none)."""


@dataclass(frozen=True)
class Checked:
    """One job, or a file that cannot be read as one (no kind then)."""

    file: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    line: int | None = None
    errors: tuple[FieldError, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.errors


@dataclass(frozen=True)
class FileReport:
    """What one file holds."""

    file: str
    checked: tuple[Checked, ...] = ()
    skipped: tuple[str, ...] = ()
    """Kinds of the documents that are no jobs; of a file that was not parsed nothing is known."""


def check_text(file: str, text: str, *, named: bool = True) -> FileReport:
    """Checks every job of a text. `named`: the user gave this very file, so that a text that is no YAML is an error in any case."""
    if not named and not OURS.search(text):
        return FileReport(file)
    try:
        documents = list(expanded(parsed(text)))
    except InvalidJob as error:
        return unreadable(file, tuple(error.errors), worth_telling=named or JOB.search(text) is not None)
    except yaml.YAMLError as error:  # characters that YAML has no place for
        problem = FieldError("file", None, f"no YAML ({error})", "save it as UTF-8 text")
        return unreadable(file, (problem,), worth_telling=named or JOB.search(text) is not None)
    checked = tuple(check(file, *each) for each in documents if is_job(each[0]))
    return FileReport(file, checked, tuple(str(content.get("kind")) for content, _, _ in documents if not is_job(content)))


def unreadable(file: str, errors: tuple[FieldError, ...], *, worth_telling: bool) -> FileReport:
    if not worth_telling:
        return FileReport(file)
    return FileReport(file, (Checked(file, line=errors[0].line, errors=errors),))


def parsed(text: str) -> list[SourceDocument]:
    """YAML, or JSON with tabs for blanks, which YAML refuses and kubectl takes."""
    if "\t" in text and is_json(text):
        text = text.replace("\t", " ")  # none of them stands within a string: JSON has \t for that
    return source_documents(text)


def is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def expanded(documents: list[SourceDocument]) -> Iterator[tuple[Mapping[str, Any], SourceDocument, str]]:
    """(document, its source, the path of it there): a List, as `kubectl get -o yaml` writes it, is its items."""
    for each in documents:
        items = each.content.get("items")
        if str(each.content.get("kind", "")).endswith("List") and isinstance(items, list):
            for index, item in enumerate(items):
                if isinstance(item, Mapping):
                    yield item, each, f"items[{index}]"
        else:
            yield each.content, each, ""


def is_job(content: Mapping[str, Any]) -> bool:
    """Whether it is meant as one: a misspelt kind of our group is an error, not another kind."""
    kind = str(content.get("kind", "")).lower()
    return kind in (each.lower() for each in KINDS) or str(content.get("apiVersion", "")).startswith(f"{GROUP}/")


def check(file: str, content: Mapping[str, Any], source: SourceDocument, path: str) -> Checked:
    try:
        job = parse_job(content)
    except InvalidJob as error:
        metadata = content.get("metadata")
        names = metadata if isinstance(metadata, Mapping) else {}
        return Checked(
            file,
            str(content.get("kind", "")),
            str(names.get("namespace", "default")),
            str(names.get("name", "")),
            source.line_of(path) if path else source.line,
            tuple(sorted(located(error.errors, source, path), key=lambda each: each.line or 0)),
        )
    return Checked(file, job.kind, job.metadata.namespace, job.metadata.name, source.line if not path else source.line_of(path))


def located(errors: list[FieldError], source: SourceDocument, path: str) -> Iterator[FieldError]:
    return (replace(each, line=source.line_of(f"{path}.{each.field}".lstrip("."))) for each in errors)
