"""`kubetune submit`: a job file to the cluster and, with --watch, the job to its end."""

from __future__ import annotations

import sys
from typing import Any, Literal, cast

import click

from kubetune.api import Phase
from kubetune.cli.connecting import INTERRUPTED, client_of, exit_code, typed
from kubetune.cli.errors import UserError
from kubetune.cli.listing import print_one
from kubetune.cli.run import Options, run_file
from kubetune.cli.session import NOT_RETRIED
from kubetune.cli.summary import rows
from kubetune.client import Client, JobHandle


def submit_file(file: str, *, watch: bool, output: str, **where: Any) -> int:
    """The exit code. Raises UserError."""
    if where["local"]:
        return run_here(file, output, where)
    source = "standard input" if file == "-" else file
    named = ""

    def act() -> int:
        nonlocal named
        client = client_of(**where)
        job = client.submit(file if file != "-" else "/dev/stdin")
        named = typed(client, job, where["namespace"])
        if not watch:
            print_submitted(job, output, named)
            return 0
        return watched(client, job, output, named)

    code = exit_code(act, source)
    if code == INTERRUPTED and named:
        click.echo(f"The job goes on; follow it: kubetune logs -f {named}; end it: kubetune delete {named}", err=True)
    return code


def run_here(file: str, output: str, where: dict[str, Any]) -> int:
    """Nothing else would run it: the embedded cluster lives as long as its command."""
    if output == "name":
        raise UserError("-o name says nothing of a job that ran here; use json, yaml or table")
    return run_file(Options(file, state_dir=where["state_dir"], output=cast("Literal['table', 'json', 'yaml']", output)))


def print_submitted(job: JobHandle, output: str, named: str) -> None:
    if output != "table":
        return print_one(job, output)
    seen = job.seen_status.observed_generation not in (None, -1)
    said = f"was there already ({job.phase})" if seen else f"submitted to namespace {job.namespace}"
    click.echo(f"{job} {said}")
    click.echo(f"Follow it: kubetune logs -f {named}", err=True)
    return None


def watched(client: Client, job: JobHandle, output: str, named: str) -> int:
    """To its end, which is told."""
    job = client.wait(job, progress=True, raise_on_failure=False)
    status, to_stderr = job.seen_status, output != "table"
    if not to_stderr or sys.stderr.isatty() or status.phase is not Phase.SUCCEEDED:
        for label, text in rows(job.manifest, status, str, (status.progress.losses if status.progress else None) or ()):
            if label != "Checkpoint":  # its place is its URI, which the next row says
                click.echo(f"{label or 'Checkpoint':<12}{text}", err=to_stderr)
    if to_stderr:
        print_one(job, output)
    if status.phase is Phase.SUCCEEDED:
        return 0
    failure = status.failure
    if failure and failure.log_tail:
        click.echo("\nThe end of the log:\n" + failure.log_tail.rstrip(), err=True)
    click.echo(f"\nMend that, then: kubetune retry {named}", err=True)
    return UserError.exit_code if failure and failure.failure_class.value in NOT_RETRIED else 1
