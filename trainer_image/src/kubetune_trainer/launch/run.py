"""One run of a backend's run_training(), or of a script of ours, judged by what its processes did and not by how it returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.diagnosis import diagnose
from kubetune_trainer.launch.evidence import AGENT_FILE, STOP_FILE, UNSAVED_FILE, set_aside
from kubetune_trainer.launch.process import AgentProcess, intercepted
from kubetune_trainer.rendezvous import wait_for_master

LOG_FILE = "torchrun.log"
"""What all ranks of a script of ours print, in the node's log directory."""


def launch_training(
    module: ModuleType, start: Callable[[], None], launch: Launch, prepare: Callable[[], None] = lambda: None
) -> None:
    """Calls `start`, the backend's run_training, with `module.StreamablePopen` replaced; blocks until every process ended.

    Until the master's port answers, a node other than the first writes nothing; then `prepare` is called before `start`.

    Raises:
        TrainingError: a rank failed, the rendezvous did, or nothing was started at all.

    """
    begin(launch, prepare)
    backend_error: Exception | None = None
    with intercepted(module, launch) as started:
        try:
            start()
        except RuntimeError as error:  # how both say that a worker failed
            backend_error = error
    judge(started, backend_error, launch)


def launch_script(script: Path, arguments: Sequence[str], launch: Launch, prepare: Callable[[], None] = lambda: None) -> None:
    """Runs a script of ours on every rank, for a library that starts no processes itself; otherwise as launch_training."""
    begin(launch, prepare)
    process = AgentProcess(str(launch.log_dir / LOG_FILE), [str(script), *arguments], launch)
    process.listen()
    judge([process], None, launch)


def begin(launch: Launch, prepare: Callable[[], None]) -> None:
    wait_for_master(launch.torchrun)
    clear(launch.log_dir)
    prepare()


def clear(log_dir: Path) -> None:
    """Makes the directory and its reserve, and removes what an earlier run into the same output left: it is not this one's."""
    log_dir.mkdir(parents=True, exist_ok=True)
    for old in (*log_dir.glob("rank-*.json"), log_dir / AGENT_FILE, log_dir / STOP_FILE, log_dir / UNSAVED_FILE):
        old.unlink(missing_ok=True)
    set_aside(log_dir)


def judge(started: list[AgentProcess], backend_error: Exception | None, launch: Launch) -> None:
    """Raises what ended the run, if anything did."""
    if not started:
        message = "the backend returned without starting a process"
        raise TrainingError(FailureClass.BACKEND_ERROR, f"{message}: {backend_error}" if backend_error else message)
    process = started[-1]
    if process.interruption is not None:
        raise process.interruption
    code = process.poll()
    if code != 0:
        raise diagnose(launch, code) from backend_error
    if backend_error is not None:
        raise TrainingError(FailureClass.BACKEND_ERROR, str(backend_error)) from backend_error
