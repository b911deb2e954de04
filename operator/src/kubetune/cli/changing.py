"""`kubetune suspend`, `resume`, `retry`, `delete`: one thing done to each job that is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from kubetune.cli.connecting import client_of, exit_code, typed
from kubetune.client import Client, JobHandle


def change_jobs(verb: str, names: Sequence[str], **where: Any) -> int:
    """The exit code. Raises UserError at the first that does not work."""

    def act() -> int:
        client = client_of(**where)
        for name in names:
            job = client.get(name)
            click.echo(DONE[verb](client, job, typed(client, job, where.get("namespace"))))
        return 0

    return exit_code(act)


def suspend(client: Client, job: JobHandle, named: str) -> str:
    client.suspend(job)
    return f"{job} is told to stop and save; let it go on with `kubetune resume {named}`"


def resume(client: Client, job: JobHandle, _named: str) -> str:
    waited = job.manifest["spec"].get("runPolicy", {}).get("suspend")
    client.resume(job)
    return f"{job} goes on" if waited else f"{job} was not suspended ({job.phase or 'Pending'})"


def retry(client: Client, job: JobHandle, named: str) -> str:
    client.retry(job)
    states = [each for each in job.seen_status.checkpoints if each.kind == "full-state" and each.verified]
    origin = f"from step {max(each.step for each in states)}" if states else "from the beginning: it had saved no state"
    return f"{job} is tried once more, {origin}; follow it with `kubetune logs -f {named}`"


def delete(client: Client, job: JobHandle, _named: str) -> str:
    client.delete(job)
    return f"{job} deleted; what it wrote stays in {job.manifest['spec'].get('output', {}).get('uri', 'its output')}"


DONE: dict[str, Callable[[Client, JobHandle, str], str]] = {"suspend": suspend, "resume": resume, "retry": retry, "delete": delete}
