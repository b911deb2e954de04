"""`kubetune logs`: the right pods' lines, as they come."""

from __future__ import annotations

from typing import Any

import click

from kubetune.cli.connecting import client_of, exit_code
from kubetune.client import NoLogError


def print_logs(name: str, *, rank: int | None, attempt: int | None, tail: int | None, follow: bool, **where: Any) -> int:
    """`rank` None: of all nodes. The exit code. Raises UserError."""

    def act() -> int:
        last = attempt
        lines = client_of(**where).stream(name, rank=rank, attempt=attempt, tail=tail, follow=follow)
        try:
            for line in lines:
                if last is not None and line.attempt > last:
                    click.echo(f"--- attempt {line.attempt} ---", err=True)
                last = line.attempt
                click.echo(line.labelled if rank is None else line.text)
        except NoLogError as gone:
            if not gone.tail:
                raise
            click.echo(f"Note: {gone}", err=True)
            click.echo(gone.tail.rstrip())
        return 0

    return exit_code(act)
