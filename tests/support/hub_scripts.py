"""Scripts written for training_hub, run by `python -m kubetune_trainer.training_hub`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

Start = Callable[..., subprocess.Popen[str]]


def finish(process: subprocess.Popen[str]) -> str:
    """Its output; it ended well."""
    output, _ = process.communicate()
    assert process.returncode == 0, output[-4000:]
    return output


def told(output: str) -> list[Any]:
    """What a script printed after the mark `>>>`, as JSON."""
    return [json.loads(line.removeprefix(">>> ")) for line in output.splitlines() if line.startswith(">>> ")]
