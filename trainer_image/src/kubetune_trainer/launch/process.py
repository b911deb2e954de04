"""Replaces the backends' StreamablePopen(log, command) for the time of one run: our command, our environment, no orphan."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO

from kubetune_trainer.disk import says_full
from kubetune_trainer.launch.command import Launch, torchrun_command, worker_environment
from kubetune_trainer.launch.death import PARENT_ENV
from kubetune_trainer.launch.stacks import leave_stacks

INTERRUPTED_SECONDS = 1.0
"""Of the little time that is left."""

PRIVATE_NAMES = ("instructlab.training.main_ds:StreamablePopen", "mini_trainer.api_train:StreamablePopen")


class AgentProcess:
    """One torchrun, with the methods that both backends call. It has ended when listen() returns, however that is."""

    def __init__(self, log_file: str, command: list[str], launch: Launch) -> None:
        self.interruption: BaseException | None = None
        self._launch = launch
        self._log_file = Path(log_file)
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        environment = worker_environment(os.environ, launch, cores=os.cpu_count() or 1) | {PARENT_ENV: str(os.getpid())}
        self._process = subprocess.Popen(
            torchrun_command(command, launch), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )

    def listen(self) -> None:
        """Copies the output to the log and to our standard output until the process ends.

        An exception (a signal's handler may raise one here) kills the whole tree at once: the backends' own way takes two
        minutes and leaves an orphan. Before that the ranks leave word of where they stood: they may have been asked to end
        because nothing moved.
        """
        try:
            with self._log_file.open("ab", buffering=0) as log:
                self._copy(log)
            self._process.wait()
        except BaseException as error:
            self.interruption = error
            leave_stacks(self._launch.log_dir, self._launch.torchrun.node_rank, INTERRUPTED_SECONDS)
            raise
        finally:
            self.kill()
            self._process.wait()

    def _copy(self, log: IO[bytes]) -> None:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - it was asked for above
        while chunk := output.read1(65536):  # type: ignore[attr-defined]  # a pipe is a BufferedReader
            self._keep(log, chunk)
            sys.stdout.write(chunk.decode(errors="replace"))
            sys.stdout.flush()

    def _keep(self, log: IO[bytes], chunk: bytes) -> None:
        """A full disk costs the log these lines, which standard output has, but not the training."""
        try:
            log.write(chunk)
        except OSError as error:
            if not says_full(error):
                raise

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, timeout: float | None = None) -> int:
        return self._process.wait(timeout)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


@contextmanager
def intercepted(module: ModuleType, launch: Launch, started: list[AgentProcess]) -> Iterator[None]:
    """While this is open, `module.StreamablePopen` starts our torchrun, and what was started is added to `started`."""

    def popen(log_file: str, command: list[str]) -> AgentProcess:
        started.append(AgentProcess(log_file, command, launch))
        return started[-1]

    original = module.StreamablePopen
    module.StreamablePopen = popen  # type: ignore[attr-defined]  # modules take any attribute
    try:
        yield
    finally:
        module.StreamablePopen = original  # type: ignore[attr-defined]  # as above
        for process in started:
            process.kill()
            process.wait()
