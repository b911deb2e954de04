"""A backend called as its own documentation says, with nothing of ours around it: no plug-in, no check, no verdict.

`python raw_backend.py CALL` is the user's script, which calls run_training(TorchrunArgs, TrainingArgs). Only what asks for CUDA gets the
CPU: this same file is put before the backend's script on every rank (`raw_backend.py --worker SCRIPT ARGS`) and patches torch there.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

CALLS = {
    "sft": ("instructlab.training.main_ds", "instructlab.training.config", "instructlab.training.callbacks"),
    "osft": ("mini_trainer.api_train", "mini_trainer.training_types", "mini_trainer.callbacks"),
}
AT_STEP_ENV, DO_ENV, LAUNCHER_ENV = "RAW_AT_STEP", "RAW_DO", "RAW_LAUNCHER"

if __name__ == "__main__" and sys.argv[1] != "--worker":
    TrainerCallback: Any = import_module(CALLS[json.loads(sys.argv[1])["algorithm"]][2]).TrainerCallback

    class AtStep(TrainerCallback):
        """Something that happens from outside once a step is done. Its source alone travels to the workers."""

        def on_step_end(self, context):  # type: ignore[no-untyped-def]  # no name of this module is known there
            import os
            import signal
            from pathlib import Path

            if str(context.step) != os.environ.get("RAW_AT_STEP"):
                return
            if os.environ["RAW_DO"] == "SIGTERM":
                os.kill(int(os.environ["RAW_LAUNCHER"]), signal.SIGTERM)
            else:
                Path(os.environ["RAW_DO"]).touch()


def call(algorithm: str, torchrun: dict[str, Any], training: dict[str, Any]) -> None:
    backend, config, _ = map(import_module, CALLS[algorithm])
    start_process = backend.StreamablePopen

    def start_on_the_cpu(log: str, command: list[str]) -> Any:
        script = next(i for i, part in enumerate(command) if part.endswith(".py"))
        return start_process(log, [*command[:script], __file__, "--worker", *command[script:]])

    backend.StreamablePopen = start_on_the_cpu
    os.environ[LAUNCHER_ENV] = str(os.getpid())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and theirs, would ignore it
    if AT_STEP_ENV in os.environ:
        training = training | {"callbacks": [AtStep()]}
    backend.run_training(config.TorchrunArgs(**torchrun), config.TrainingArgs(**training))


def work(script: str, arguments: list[str]) -> None:
    from kubetune_trainer.launch.cpu import patch_torch

    patch_torch()
    sys.argv = [script, *arguments]
    sys.path[0] = str(Path(script).parent)
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "--worker":
        work(sys.argv[2], sys.argv[3:])
    else:
        call(**json.loads(sys.argv[1]))
