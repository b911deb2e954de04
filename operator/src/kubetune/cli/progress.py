"""Shows a job while it runs: a bar on a terminal, a line at each change elsewhere. Always on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from kubetune.api import parse_status
from kubetune.api.status import JobStatus, Phase
from kubetune.cli.news import Line, clock, figures, news, step_line
from kubetune.cluster import Manifest
from kubetune_trainer import contract

STYLES = {"plain": "", "good": "green", "bad": "red"}
MARKS = {"plain": "·", "good": "✓", "bad": "✗"}

WAITS = {
    Phase.PENDING: "Waiting",
    Phase.STARTING: "Starting",
    Phase.RUNNING: "Training",
    Phase.RESTARTING: "Waiting to start again",
    Phase.SUSPENDED: "Stopped",
}
BEFORE_THE_FIRST_STEP = "checking the data, loading the model"


class Display(Protocol):
    """Is told the job whenever it changed."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, job: Manifest) -> None: ...

    def say(self, line: Line) -> None: ...


class Figures(ProgressColumn):
    """Loss, tokens a second and a time left that counts down between reports; before the first step, what is being done."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        progress: contract.Progress | None = task.fields["progress"]
        if progress is None:
            return Text(f"{task.fields['note']} {clock(task.elapsed or 0)}", style="dim")
        left = None if progress.eta_seconds is None else max(0.0, progress.eta_seconds - (time.monotonic() - task.fields["since"]))
        return Text("  ".join(figures(progress, left)))


class Bar:
    """For people at a terminal."""

    def __init__(self, where: Callable[[str], str], logs: Callable[[str], str], console: Console | None = None) -> None:
        self._where, self._logs = where, logs
        self._console = console or Console(stderr=True, soft_wrap=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            Figures(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("Starting", total=None, progress=None, note=BEFORE_THE_FIRST_STEP, since=0.0)
        self._status = JobStatus()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def say(self, line: Line) -> None:
        self._console.print(f"[{STYLES[line.tone] or 'default'}]{MARKS[line.tone]}[/] {escape(line.text)}", highlight=False)

    def show(self, job: Manifest) -> None:
        before, self._status = self._status, parse_status(job.get("status", {}))
        for line in news(before, self._status, self._where, self._logs):
            self.say(line)
        self._update(job["metadata"]["name"])

    def _update(self, name: str) -> None:
        status = self._status
        progress = status.progress if status.phase in (Phase.RUNNING, Phase.SUCCEEDED) else None
        attempt = f" (attempt {status.attempts[-1].number})" if len(status.attempts) > 1 else ""
        phase = WAITS.get(status.phase, status.phase.value) if status.phase else "Starting"
        task = self._progress.tasks[0]
        self._progress.update(
            self._task,
            description=f"[bold]{escape(name)}[/] {phase}{attempt}",
            total=progress.total_steps if progress else None,
            completed=progress.step if progress else 0,
            progress=progress,
            since=time.monotonic() if progress != task.fields["progress"] else task.fields["since"],
        )


class Lines:
    """For logs and pipes: what changed, with the time."""

    def __init__(self, where: Callable[[str], str], logs: Callable[[str], str]) -> None:
        self._where, self._logs = where, logs
        self._status = JobStatus()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def say(self, line: Line) -> None:
        click.echo(f"{datetime.now().astimezone():%H:%M:%S} {line.text}", err=True)

    def show(self, job: Manifest) -> None:
        before, self._status = self._status, parse_status(job.get("status", {}))
        for line in news(before, self._status, self._where, self._logs):
            self.say(line)
        after = self._status
        if after.phase != before.phase and after.phase:
            self.say(Line(after.phase.value))
        if after.progress and after.progress != before.progress:
            self.say(Line(step_line(after.progress)))
