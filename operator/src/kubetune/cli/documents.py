"""Job files: YAML, read as Kubernetes reads it, with errors that say where."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from kubetune.api import InvalidJob
from kubetune.api.documents import load_documents
from kubetune.cli.errors import UserError
from kubetune.cluster import Manifest

KINDS = ("SFTJob", "OSFTJob")


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
        documents = load_documents(text)
    except InvalidJob as error:
        raise UserError("\n".join(f"{name}, {each}" for each in error.errors)) from error
    except yaml.YAMLError as error:  # characters that YAML has no place for
        raise UserError(f"{name} is no YAML ({error}); save it as UTF-8 text") from error
    if not documents:
        raise UserError(f"{name} is empty; write an SFTJob or OSFTJob")
    return documents


def read_text(file: str, name: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text()
    except FileNotFoundError as error:
        raise UserError(f"{name} does not exist; check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name} cannot be read ({error}); give a text file of YAML") from error


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
