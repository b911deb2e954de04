"""Job files: YAML, read as Kubernetes reads it, with errors that say where."""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kubetune.cli.errors import UserError
from kubetune.cluster import Manifest

FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")
"""YAML 1.2's floats. PyYAML knows 1.1's, to which 2e-5 is a word; Kubernetes takes it for the number it is."""

KINDS = ("SFTJob", "OSFTJob")


class Loader(yaml.SafeLoader):
    """Safe, with YAML 1.2's floats, and no key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, _ in node.value:
            if key.value != "<<" and keys.count(key.value) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
        return super().construct_mapping(node, deep)


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:float"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"), list("-+."))
Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))


@dataclass(frozen=True)
class JobFile:
    """What one file asks for."""

    name: str
    job: Manifest
    configmaps: tuple[Manifest, ...]


def read_documents(file: str) -> list[Manifest]:
    """The documents of a file, or of standard input for "-". Raises UserError: file, line, remedy."""
    name = "standard input" if file == "-" else file
    text = read_text(file, name)
    try:
        documents = [document for document in yaml.load_all(text, Loader=Loader) if document is not None]
    except yaml.YAMLError as error:
        raise UserError(describe(name, error)) from error
    if not documents:
        raise UserError(f"{name} is empty; write an SFTJob or OSFTJob")
    for document in documents:
        if not isinstance(document, dict):
            raise UserError(
                f"{name}: a document is a {type(document).__name__}, not a job; write apiVersion, kind, metadata and spec"
            )
    return documents


def read_text(file: str, name: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except FileNotFoundError as error:
        raise UserError(f"{name} does not exist; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name} cannot be read ({error}); give a text file of YAML") from error


def describe(name: str, error: yaml.YAMLError) -> str:
    """Where the YAML is broken, how, and what to do."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return f"{name} is no YAML: {error}; save it as UTF-8 text"
    mark = error.problem_mark or error.context_mark
    where = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
    problem = ", ".join(part for part in (error.context, error.problem) if part)
    return f"{where}: {problem}; mend the YAML there (indentation by spaces, one value a key)"


def read_job(file: str) -> JobFile:
    """The one job of a file and the ConfigMaps beside it. Raises UserError for anything else."""
    documents = read_documents(file)
    jobs = [document for document in documents if document.get("kind") != "ConfigMap"]
    others = [str(document.get("kind")) for document in jobs if document.get("kind") not in KINDS]
    if others and len(jobs) > len(others):
        raise UserError(f"{file} also holds {', '.join(others)}; leave only a job and its ConfigMaps: nothing else runs here")
    if len(jobs) != 1:
        names = ", ".join(str((job.get("metadata") or {}).get("name")) for job in jobs) or "none"
        raise UserError(f"{file} holds {len(jobs)} jobs ({names}); put each into a file of its own: one job a run")
    return JobFile(file, jobs[0], tuple(document for document in documents if document.get("kind") == "ConfigMap"))
