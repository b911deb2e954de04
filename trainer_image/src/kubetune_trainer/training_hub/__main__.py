"""`python -m kubetune_trainer.training_hub script.py arguments`: python itself runs the script, and its training_hub is ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

USAGE = """usage: python -m kubetune_trainer.training_hub script.py [arguments]

Runs a script written for training_hub as python would (python's own options and -m work too); `import training_hub`, in it and
in every process that it starts, finds kubetune_trainer's sft(), osft(), create_algorithm, AlgorithmRegistry and so on."""

PATH = Path(__file__).parent / "path"
"""Holds training_hub.py alone."""


def command(original: Sequence[str], arguments: Sequence[str]) -> list[str]:
    """This interpreter with its own options, and what was asked for instead of us.

    Args:
        original: sys.orig_argv, in which `-m kubetune_trainer.training_hub` stands between the options and `arguments`.
        arguments: those of ours.

    """
    options = original[1 : len(original) - len(arguments)]
    return [sys.executable, *options[: options.index("-m")], *arguments]


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """`given`, with our training_hub first on the path of every python below."""
    return {**given, "PYTHONPATH": os.pathsep.join(filter(None, [str(PATH), given.get("PYTHONPATH")]))}


def main(arguments: list[str]) -> NoReturn:
    """Becomes the script."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        sys.exit(0 if arguments else 2)
    if sys.flags.ignore_environment:
        print("python -I and -E ignore PYTHONPATH, by which the script finds training_hub: leave them out", file=sys.stderr)  # noqa: T201 - likewise
        sys.exit(2)
    os.execve(sys.executable, command(sys.orig_argv, arguments), environment(os.environ))  # noqa: S606 - the arguments are a user's own


if __name__ == "__main__":
    main(sys.argv[1:])
