"""--job-defaults: what an installation gives to jobs, read from a file as the operator reads it."""

from __future__ import annotations

import yaml

from kubetune.api import InvalidJob
from kubetune.api.defaults import NONE, JobDefaults, load_defaults
from kubetune.cli.documents import read_text
from kubetune.cli.errors import UserError


def read_defaults(file: str | None) -> JobDefaults:
    """None: there are none. Raises UserError with everything that is wrong."""
    if file is None:
        return NONE
    option = f"--job-defaults {file}"
    try:
        return load_defaults(read_text(file, option))
    except InvalidJob as error:
        raise UserError("\n  ".join([f"{option}:", *map(str, error.errors)])) from error
    except yaml.YAMLError as error:  # characters that YAML has no place for
        raise UserError(f"{option} is no YAML ({error}); save it as UTF-8 text") from error
