"""`kubetune run`: from the command line to a job that is ready to run, or to what must be changed first."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from kubetune.api import Job
from kubetune.api.documents import as_json
from kubetune.cli.documents import JobFile, read_job
from kubetune.cli.errors import UserError, as_user_error
from kubetune.cli.offline import parse
from kubetune.cli.session import Session
from kubetune.cluster import Manifest
from kubetune.local.loop import JobKey
from kubetune.local.preflight import notes, problems
from kubetune.local.settings import render_settings
from kubetune.local.state import JobLockedError, StateDir
from kubetune.local.volumes import bind_claim, bind_configmap, write_configmap


@dataclass(frozen=True)
class Options:
    """The command line of `kubetune run`."""

    file: str
    state_dir: str = ".kubetune"
    volume: tuple[str, ...] = ()
    config_map: tuple[str, ...] = ()
    device: Literal["gpu", "cpu"] | None = None
    again: bool = False
    output: Literal["table", "json", "yaml"] = "table"


def run_file(options: Options) -> int:
    """Runs the job to its end and prints it; the exit code. Raises UserError."""
    if sys.platform != "linux":
        raise UserError(
            f"kubetune run needs Linux, this is {sys.platform}: pods are held together by prctl(2); use a Linux machine"
        )
    file = read_job(options.file)
    document = with_device(file.job, options.device)
    job, document = parse(document, options.file), as_json(document)
    state = open_state(options.state_dir)
    key = JobKey(job.kind, job.metadata.namespace, job.metadata.name)
    try:
        with state.lock(key.kind, key.namespace, key.name):
            prepare_volumes(state, file, options)
            check(job, state, options.file)
            return Session(state, key, options.file, options.output).run(document, job, again=options.again)
    except JobLockedError as error:
        raise UserError(
            f"{key.kind} {key.name} is being run by process {error} in {state.root}; wait for it, or pass another --state-dir"
        ) from error


def open_state(directory: str) -> StateDir:
    try:
        return StateDir.create(Path(directory))
    except OSError as error:
        raise UserError(f"--state-dir {directory} cannot be used ({error}); pass a directory that can be written") from error


def with_device(document: Manifest, device: str | None) -> Manifest:
    """The document with --device in place of spec.device."""
    if device is None or not isinstance(document.get("spec"), dict):
        return document
    return {**document, "spec": {**document["spec"], "device": device}}


def prepare_volumes(state: StateDir, file: JobFile, options: Options) -> None:
    with as_user_error():
        for text in options.volume:
            bind_claim(state, *pair("--volume", "CLAIM=DIR", text))
        for manifest in file.configmaps:
            write_configmap(state, (manifest.get("metadata") or {}).get("name", ""), manifest.get("data") or {})
        for text in options.config_map:
            bind_configmap(state, *pair("--config-map", "NAME=DIR", text))


def pair(option: str, form: str, text: str) -> tuple[str, Path]:
    name, equals, directory = text.partition("=")
    if not equals or not directory:
        raise ValueError(f"{option} {text}: no {form}; write for instance {option} data=./data")
    return name, Path(directory)


def check(job: Job, state: StateDir, source: str) -> None:
    with as_user_error():
        found = problems(job, state, render_settings(state), os.environ)
    for note in notes(job):
        click.echo(f"Note: {note}", err=True)
    if found:
        raise UserError("\n  ".join([f"{source}:", *map(str, found)]) if len(found) > 1 else f"{source}: {found[0]}")
