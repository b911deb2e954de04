"""Shell completion: click's own scripts, and the answers that kubectl asks a plug-in for."""

from __future__ import annotations

from collections.abc import Sequence

from click.shell_completion import ShellComplete, get_completion_class

from kubetune.cli.app import kubetune

PROGRAM = "kubetune"
VARIABLE = f"_{PROGRAM.upper()}_COMPLETE"
FILES, NO_FILES = 0, 4
"""cobra's directives: the shell completes files, or it does not (pkg.go.dev/github.com/spf13/cobra, ShellCompDirective)."""


def script(shell: str) -> str:
    """The script that SHELL evaluates."""
    made = get_completion_class(shell)
    if made is None:
        raise ValueError(f"{shell}: no shell that click completes for")
    return made(kubetune, {}, PROGRAM, VARIABLE).source()


def for_kubectl(words: Sequence[str]) -> str:
    """What may stand for the last of `words`, one a line, then a directive: as kubectl reads it."""
    *before, incomplete = words or [""]
    found = ShellComplete(kubetune, {}, PROGRAM, VARIABLE).get_completions(before, incomplete)
    plain = [f"{each.value}\t{each.help or ''}".rstrip() for each in found if each.type == "plain"]
    directive = FILES if any(each.type in ("file", "dir") for each in found) else NO_FILES
    return "".join(f"{line}\n" for line in [*plain, f":{directive}"])
