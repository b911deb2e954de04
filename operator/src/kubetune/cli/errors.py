"""Bad input: exit code 2, one message, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click


class UserError(click.ClickException):
    """The user must change something. The message names the field or file, the value and the remedy."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.secho("Error: ", fg="red", bold=True, nl=False, err=True, file=file)
        click.echo(self.format_message(), err=True, file=file)


@contextmanager
def as_user_error() -> Iterator[None]:
    """A ValueError that tells the user what to do, as exit code 2."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from error
