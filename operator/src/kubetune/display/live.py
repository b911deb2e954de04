"""Shows a job while it runs: a bar on a terminal, a line at each change elsewhere. Always on standard error."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from kubetune.api import parse_status
from kubetune.api.status import JobStatus, Phase
from kubetune.cluster import Manifest
from kubetune.display.news import Line, clock, figures, news, step_line, steps
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
COUNTS = re.compile(r"\d+")
BEFORE_THE_FIRST_STEP = "checking the data, loading the model"


class Display(Protocol):
    """Is told the job whenever it changed; what it is made to know is no news."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None: ...

    def know(self, job: Manifest) -> None: ...

    def show(self, job: Manifest) -> None: ...

    def say(self, line: Line) -> None: ...


class Figures(ProgressColumn):
    """Step, loss, pace, a time left that counts down between reports, the last saved step; before the first, what is being done."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        progress: contract.Progress | None = task.fields["progress"]
        if progress is None:
            return Text(f"{task.fields['note']} {clock(task.elapsed or 0)}".strip(), style="dim")
        left = None if progress.eta_seconds is None else max(0.0, progress.eta_seconds - (time.monotonic() - task.fields["since"]))
        saved = [f"saved at {task.fields['saved']}"] if task.fields["saved"] else []
        return Text("  ".join([steps(progress), *figures(progress, left), *saved]))


class Bar:
    """For people at a terminal."""

    def __init__(self, where: Callable[[str], str], logs: Callable[[str], str], console: Console | None = None) -> None:
        self._where, self._logs = where, logs
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            Figures(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("Starting", total=None, progress=None, note=BEFORE_THE_FIRST_STEP, since=0.0, saved=0)
        self._status = JobStatus()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def say(self, line: Line) -> None:
        self._console.print(
            f"[{STYLES[line.tone] or 'default'}]{MARKS[line.tone]}[/] {escape(line.text)}", highlight=False, soft_wrap=True
        )

    def know(self, job: Manifest) -> None:
        self._status = parse_status(job.get("status", {}))

    def show(self, job: Manifest) -> None:
        before, self._status = self._status, parse_status(job.get("status", {}))
        for line in news(before, self._status, self._where, self._logs):
            if not line.minor:
                self.say(line)
        self._update(job["metadata"]["name"])

    def _update(self, name: str) -> None:
        status, progress = self._status, current_progress(self._status)
        attempt = f" (attempt {status.attempts[-1].number})" if len(status.attempts) > 1 else ""
        self._progress.update(
            self._task,
            description=f"[bold]{escape(name)}[/] {activity(status)}{attempt}",
            total=progress.total_steps if progress else None,
            completed=progress.step if progress else 0,
            progress=progress,
            note=before_the_first_step(status),
            saved=max((c.step for c in status.checkpoints if c.kind == "full-state" and c.verified), default=0),
            since=time.monotonic() if progress != self._progress.tasks[0].fields["progress"] else self._since,
        )

    @property
    def _since(self) -> float:
        return float(self._progress.tasks[0].fields["since"])


def current_progress(status: JobStatus) -> contract.Progress | None:
    """What the live attempt reported; an earlier attempt's is of the past."""
    progress, attempts = status.progress, status.attempts
    if (
        progress is None
        or status.phase not in (Phase.RUNNING, Phase.SUCCEEDED)
        or not attempts
        or not progress.step
        or progress.stage
    ):
        return None
    stale = progress.updated_time is not None and progress.updated_time < attempts[-1].started
    return None if stale else progress


def before_the_first_step(status: JobStatus) -> str:
    """What is being done, as the trainer says it; at its start an earlier attempt's figures may still be there."""
    if status.phase not in (Phase.STARTING, Phase.RUNNING):
        return ""
    return (status.progress.stage if status.progress else None) or BEFORE_THE_FIRST_STEP


def activity(status: JobStatus) -> str:
    """The phase in a word that fits what is seen: the pods run for a while before they train."""
    progress = current_progress(status)
    if status.phase is Phase.RUNNING and progress is None:
        return WAITS[Phase.STARTING]
    if status.phase is Phase.RUNNING and progress and progress.step == progress.total_steps:
        return "Verifying"
    return WAITS.get(status.phase, status.phase.value) if status.phase else WAITS[Phase.STARTING]


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

    def know(self, job: Manifest) -> None:
        self._status = parse_status(job.get("status", {}))

    def show(self, job: Manifest) -> None:
        before, self._status = self._status, parse_status(job.get("status", {}))
        for line in news(before, self._status, self._where, self._logs):
            self.say(line)
        after = self._status
        if after.phase != before.phase and after.phase:
            self.say(Line(after.phase.value))
        if after.progress and matter(after.progress) != matter(before.progress):
            self.say(Line(step_line(after.progress)))


def matter(progress: contract.Progress | None) -> object:
    """What a new line is worth: of what comes before the first step that it began, not how often it counts."""
    return COUNTS.sub("", progress.stage) if progress and progress.stage else progress
