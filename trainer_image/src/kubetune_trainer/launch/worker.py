"""Put before the backend's worker script on every rank: `python -m kubetune_trainer.launch.worker SCRIPT ARGS`."""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import time
import traceback
from pathlib import Path

from kubetune_trainer.launch.command import CPU_PATCH_ENV, LOG_DIR_ENV, PLUGINS_ENV
from kubetune_trainer.launch.death import PARENT_ENV, die_with_parent, forked_children_die_too
from kubetune_trainer.launch.evidence import RankError
from kubetune_trainer.launch.stacks import answer_with_stacks


def main(script: str, arguments: list[str]) -> None:
    """Patches torch where the script only knows CUDA and the device is the CPU, installs the plug-ins, then is the script.

    The device is told, never guessed: a GPU node whose driver is broken must fail, not train on its CPU.
    """
    die_with_parent(int(os.environ[PARENT_ENV]))
    forked_children_die_too()
    answer_with_stacks(Path(os.environ[LOG_DIR_ENV]), int(os.environ["RANK"]))
    gc.disable()  # the plug-ins import all of the backend: a fifth of that time is collecting nothing
    try:
        if os.environ[CPU_PATCH_ENV] == "1":
            from kubetune_trainer.launch.cpu import patch_torch

            patch_torch()
        from kubetune_trainer.plugins import install

        install(json.loads(os.environ[PLUGINS_ENV]))
        gc.freeze()  # modules stay: no later collection looks at them
        gc.enable()
        sys.argv = [script, *arguments]
        sys.path[0] = str(Path(script).parent)  # as if python had been given the script
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            note(end)
        raise
    except BaseException as error:
        note(error)
        raise


def note(error: BaseException) -> None:
    """Leaves the exception for the launcher: torchrun's own record rounds times to seconds, and consequences follow within one."""
    message = f"{type(error).__name__}: {error}"
    text = "".join(traceback.format_exception(error))
    RankError(time.time(), int(os.environ["RANK"]), message, text).write(Path(os.environ[LOG_DIR_ENV]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
