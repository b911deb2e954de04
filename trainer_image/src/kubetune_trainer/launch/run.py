"""One run of a backend's run_training(), or of a script of ours, judged by what its processes did and not by how it returned."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.launch.command import Launch
from kubetune_trainer.launch.diagnosis import diagnose
from kubetune_trainer.launch.evidence import AGENT_FILE, STAGE_FILE, STOP_FILE, UNSAVED_FILE, oom_kills, set_aside
from kubetune_trainer.launch.gang import Gang
from kubetune_trainer.launch.process import AgentProcess, intercepted
from kubetune_trainer.launch.rollcall import roll_call
from kubetune_trainer.launch.stacks import PATTERN
from kubetune_trainer.launch.watch import Watch

LOG_FILE = "torchrun.log"
"""What all ranks of a script of ours print, in the node's log directory."""


def launch_training(
    module: ModuleType, start: Callable[[], None], launch: Launch, prepare: Callable[[], None] = lambda: None
) -> None:
    """Calls `start`, the backend's run_training, with `module.StreamablePopen` replaced; blocks until every process ended.

    Until all nodes are there, none writes anything; then `prepare` is called before `start`.

    Raises:
        TrainingError: a rank failed, here or on another node, the rendezvous did, no rank moved, or nothing was started at all.

    """
    with gathered(launch) as run:
        prepare()
        backend_error: Exception | None = None
        with intercepted(module, launch, run.started):
            try:
                start()
            except RuntimeError as error:  # how both say that a worker failed
                backend_error = error
        run.judge(backend_error)


def launch_script(script: Path, arguments: Sequence[str], launch: Launch, prepare: Callable[[], None] = lambda: None) -> None:
    """Runs a script of ours on every rank, for a library that starts no processes itself; otherwise as launch_training."""
    with gathered(launch) as run:
        prepare()
        run.started.append(AgentProcess(str(launch.log_dir / LOG_FILE), [str(script), *arguments], launch))
        run.started[-1].listen()
        run.judge(None)


class GatheredRun:
    """This node's part of a run on all nodes."""

    def __init__(self, launch: Launch, gang: Gang) -> None:
        self.launch, self.gang, self.started = launch, gang, list[AgentProcess]()
        self.watch = Watch(launch, gang, self.end)
        self._oom_kills = oom_kills()

    def end(self) -> None:
        """Kills this node's ranks."""
        for process in self.started:
            process.kill()

    def judge(self, backend_error: Exception | None) -> None:
        """Raises what ended the run, if anything did."""
        if not self.started:
            message = "the backend returned without starting a process"
            raise TrainingError(FailureClass.BACKEND_ERROR, f"{message}: {backend_error}" if backend_error else message)
        process = self.started[-1]
        if process.interruption is not None:
            raise process.interruption
        code = process.poll()
        if code != 0:
            own = diagnose(self.launch, code, oom_kills() - self._oom_kills)
            raise self.watch.error or self.gang.cause(own, socket.gethostname()) from backend_error
        if backend_error is not None:
            raise TrainingError(FailureClass.BACKEND_ERROR, str(backend_error)) from backend_error


@contextmanager
def gathered(launch: Launch) -> Iterator[GatheredRun]:
    """All nodes are there when this opens, and each hears how the others end until it closes."""
    gang = Gang(roll_call(launch.torchrun), launch.torchrun.node_rank)
    run = GatheredRun(launch, gang)
    run.watch.start()
    try:
        clear(launch.log_dir)
        yield run
    except BaseException as error:
        gang.tell(last_word(error), socket.gethostname())
        raise
    else:
        gang.tell(None, socket.gethostname())
    finally:
        run.watch.stop()
        gang.close()


def last_word(error: BaseException) -> TrainingError:
    """What the other nodes are told of what ended this one."""
    if isinstance(error, TrainingError):
        return error
    if isinstance(error, ConfigurationError):
        return TrainingError(error.failure_class, str(error))
    if isinstance(error, Exception):
        return TrainingError(FailureClass.BACKEND_ERROR, f"{type(error).__name__}: {error}")
    return TrainingError(FailureClass.PREEMPTED, "asked to end, and ended at once")


def clear(log_dir: Path) -> None:
    """Makes the directory and its reserve, and removes what an earlier run into the same output left: it is not this one's."""
    log_dir.mkdir(parents=True, exist_ok=True)
    notes = (log_dir / name for name in (AGENT_FILE, STOP_FILE, STAGE_FILE, UNSAVED_FILE))
    for old in (*log_dir.glob("rank-*.json"), *log_dir.glob(PATTERN), *notes):
        old.unlink(missing_ok=True)
    set_aside(log_dir)
