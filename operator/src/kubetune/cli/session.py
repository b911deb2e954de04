"""One job on this machine, from the stored resource to its end or its interruption."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Literal, Self

import click
import yaml

from kubetune.api import Job, parse_status
from kubetune.api.status import Phase
from kubetune.cli.errors import UserError, as_user_error
from kubetune.cli.summary import advice, last_state, rows
from kubetune.cli.target import directory_of
from kubetune.cluster import ClusterError, Manifest
from kubetune.display.live import Bar, Display, Lines
from kubetune.display.news import Line
from kubetune.local.cluster import LocalCluster, utc_now
from kubetune.local.loop import JobKey, JobLoop
from kubetune.local.settings import controller_settings, render_settings
from kubetune.local.state import StateDir
from kubetune.local.takeup import AlreadySucceededError, SpecChangedError, interrupted, new_job, take_up
from kubetune.render.paths import path_in_pod
from kubetune.report.attempts import steps_of, tries_of
from kubetune.report.sources import read_material

log = logging.getLogger(__name__)

Output = Literal["table", "json", "yaml"]
SUCCEEDED, FAILED, INTERRUPTED = 0, 1, 130
NOT_RETRIED = ("UserError", "DataError")


class Session:
    """One job in one state directory, locked for this process."""

    def __init__(self, state: StateDir, key: JobKey, file: str, output: Output) -> None:
        self._state, self._key, self._file, self._output = state, key, file, output
        with as_user_error():
            self._cluster = LocalCluster(state)

    def run(self, document: Manifest, job: Job, *, again: bool) -> int:
        """To the job's end; the exit code. Raises UserError."""
        try:
            fresh = self._store(document, job, again=again)
        except AlreadySucceededError as done:
            say("This job has Succeeded already; pass --again to train anew, as a new job of the same name.")
            self._finish(done.job)
            return SUCCEEDED
        except SpecChangedError as changed:
            name = f"{self._key.kind} {self._key.name}"
            raise UserError(
                f"{self._file}: {name} was already run with another {', '.join(changed.fields)}; "
                "give the job a new metadata.name, or pass --again to train anew under this one"
            ) from changed
        try:
            return asyncio.run(self._drive(fresh))
        except ClusterError as error:
            raise UserError(f"{self._file}: {error}") from error

    def _store(self, document: Manifest, job: Job, *, again: bool) -> bool:
        """Stores the job: a new one (True), or the earlier run's to go on with."""
        stored = self._cluster.store.get(self._key.kind, self._key.namespace, self._key.name)
        taken = take_up(stored, document, job) if stored and not again else None
        if taken is not None:
            self._cluster.store.put(taken)
            return False
        if stored is not None:
            asyncio.run(self._cluster.delete_job(stored))
        self._cluster.store.put(new_job(document, utc_now()))
        return True

    async def _drive(self, fresh: bool) -> int:
        stop = asyncio.Event()
        display: Display = Bar(self._where, self._logs) if sys.stderr.isatty() else Lines(self._where, self._logs)
        loop = JobLoop(self._cluster, self._key, controller_settings(self._state), display.show)
        with display, Signals(stop) as signals:
            try:
                if not fresh:
                    await self._go_on(loop, display)
                job = await loop.run(stop)
                if not stop.is_set():
                    await self._cluster.close()
                    return self._finish(job)
                display.say(Line("Stopping; press Ctrl-C again to kill at once."))
                signals.on_next(self._kill)
                job = await loop.suspend()
            finally:
                await self._cluster.close(kill=True)
        finished = job["status"].get("phase") in (Phase.SUCCEEDED, Phase.FAILED)
        return self._finish(job) if finished else self._interrupted(job)

    async def _go_on(self, loop: JobLoop, display: Display) -> None:
        """Says from where an earlier run's job goes on, and closes the books on an attempt that was cut short."""
        job = self._cluster.store.get(self._key.kind, self._key.namespace, self._key.name) or {}
        display.know(job)
        state = last_state(parse_status(job.get("status", {})))
        display.say(Line(f"Going on from step {state.step}." if state else "Starting over: nothing was saved yet."))
        if interrupted(job):
            await loop.take_over()

    def _kill(self) -> None:
        for pod in self._cluster.store.select("Pod"):
            self._cluster.process(pod).kill()

    def _finish(self, job: Manifest) -> int:
        """Prints the job; the exit code."""
        status = parse_status(job.get("status", {}))
        to_stderr = self._output != "table"
        if not to_stderr or sys.stderr.isatty() or status.phase is not Phase.SUCCEEDED:
            click.echo(err=to_stderr)
            for label, text in rows(job, status, self._where, losses_of(job, self._state)):
                click.echo(f"{label:<12}{text}", err=to_stderr)
            self._advise(job, to_stderr)
        print_resource(job, self._output)
        if status.phase is Phase.SUCCEEDED:
            return SUCCEEDED
        if status.failure is not None and status.failure.failure_class in NOT_RETRIED:
            return UserError.exit_code
        return FAILED

    def _advise(self, job: Manifest, to_stderr: bool) -> None:
        """The next command to type."""
        status = parse_status(job.get("status", {}))
        if status.final_checkpoint is not None and status.phase is Phase.SUCCEEDED:
            click.echo(f"\n{advice(self._path(status.final_checkpoint.uri))}", err=to_stderr)
        elif status.failure is not None:
            if status.failure.log_tail and status.failure.failure_class not in NOT_RETRIED:  # those say it all themselves
                click.echo("\nThe end of the log:\n" + status.failure.log_tail.rstrip(), err=True)
            click.echo(
                f"\nMend that and type the same command; the logs: {relative(str(self._state.pods / self._key.namespace))}",
                err=True,
            )

    def _interrupted(self, job: Manifest) -> int:
        state = last_state(parse_status(job.get("status", {})))
        origin = f"goes on from step {state.step} ({self._where(state.uri)})" if state else "starts over: nothing was saved yet"
        say(f"Interrupted; all processes have ended. The same command {origin}.")
        print_resource(job, self._output)
        return INTERRUPTED

    def _where(self, uri: str) -> str:
        """The place on this machine, to be read."""
        return relative(self._path(uri))

    def _path(self, uri: str) -> str:
        """The place on this machine, to be typed anywhere."""
        return path_in_pod(uri, render_settings(self._state))

    def _logs(self, pytorchjob: str) -> str:
        """The master's log."""
        pod = self._cluster.store.get("Pod", self._key.namespace, f"{pytorchjob}-master-0")
        return relative(str(self._cluster.process(pod).log_file if pod else self._state.pods / self._key.namespace))


class Signals:
    """Ctrl-C, SIGTERM and a closed terminal set `stop` instead of ending this process over its pods."""

    HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def __enter__(self) -> Self:
        for number in self.HANDLED:
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        return self

    def on_next(self, call: object) -> None:
        """What the next such signal does."""
        for number in self.HANDLED:
            asyncio.get_running_loop().add_signal_handler(number, call)  # type: ignore[arg-type]

    def __exit__(self, *_: object) -> None:
        for number in self.HANDLED:
            asyncio.get_running_loop().remove_signal_handler(number)


def losses_of(job: Manifest, state: StateDir) -> list[float | None]:
    """Of every step, each once; none where nothing of the run can be read (any more)."""
    try:
        material = read_material(directory_of(job, state), job)
    except (OSError, UserError) as error:
        log.info("there is no curve of the loss: %s", error)
        return []
    return [step.loss for step in steps_of(tries_of(material))]


def relative(path: str) -> str:
    """Shorter, if it lies below the current directory."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else path


def say(text: str) -> None:
    click.echo(text, err=True)


def print_resource(job: Manifest, output: str) -> None:
    """The final resource, alone on standard output."""
    if output == "json":
        click.echo(json.dumps(job, indent=2))
    elif output == "yaml":
        click.echo(yaml.safe_dump(job, sort_keys=False, allow_unicode=True), nl=False)
