"""The last words of a run: how it ended, where the model is, and what to type next. Pure."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence

from kubetune.api.status import JobStatus, Phase
from kubetune.cluster import Manifest
from kubetune.display.news import clock, size
from kubetune.report import curve
from kubetune_trainer.contract import Checkpoint

Rows = list[tuple[str, str]]

ASK = (
    'from transformers import pipeline; ask = pipeline("text-generation", {path}); '
    'print(ask([{{"role": "user", "content": "Hello"}}], max_new_tokens=64)[0]["generated_text"][-1]["content"])'
)
"""In double quotes, so that the shell's single ones go around it."""


def rows(job: Manifest, status: JobStatus, where: Callable[[str], str], losses: Sequence[float | None] = ()) -> Rows:
    """What there is to know, label by label. `losses`: of every step, as far as they were logged."""
    said: Rows = [("Job", f"{job['kind']} {job['metadata']['namespace']}/{job['metadata']['name']}")]
    said.append(("Phase", status.phase.value if status.phase else "unknown"))
    said += list(facts(status))
    if text := curve(losses):
        said.append(("Loss", text))
    checkpoint = status.final_checkpoint
    if checkpoint is not None:
        said += [("Checkpoint", where(checkpoint.uri)), ("", f"{checkpoint.uri}, verified, {size(checkpoint.bytes)}")]
    return said


def facts(status: JobStatus) -> Iterator[tuple[str, str]]:
    progress = status.progress
    if progress is not None and not progress.stage:
        loss = f", loss {progress.loss:.4g}" if progress.loss is not None else ""
        yield "Steps", f"{progress.step}/{progress.total_steps or '?'}{loss}"
    if status.start_time and status.completion_time:
        yield "Time", clock((status.completion_time - status.start_time).total_seconds())
    if status.restarts:
        yield "Restarts", str(status.restarts)
    if status.phase is Phase.FAILED and status.failure is not None:
        failure = status.failure
        place = f" in {failure.pod}" if failure.pod else ""
        yield "Failure", f"{failure.failure_class.value}{place}: {failure.message}"


def advice(path: str) -> str:
    """What to do with a final checkpoint; one in a store has to be fetched first."""
    if path.startswith("s3://"):
        return f"Fetch it:\n  {shlex.join(['aws', 's3', 'cp', '--recursive', path, path.rpartition('/')[2]])}"
    return f"Ask it:\n  {next_command(path)}"


def next_command(path: str) -> str:
    """Opens the checkpoint in transformers and asks it something."""
    return shlex.join([sys.executable, "-c", ASK.format(path=json.dumps(path))])


def last_state(status: JobStatus) -> Checkpoint | None:
    """From where the next attempt would go on."""
    states = [c for c in status.checkpoints if c.kind == "full-state" and c.verified]
    return max(states, key=lambda c: c.step, default=None)
