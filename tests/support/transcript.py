"""What a user's terminal shows of one job, as kubectl prints it: nothing is edited."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real_cluster import Job

WATCH = "kubectl get osftjobs -w"


@dataclass(frozen=True)
class Watch:
    """`kubectl get -w` beside a job, and what the other commands say once it has ended."""

    job: Job
    seen: Path

    def text(self) -> str:
        """Of all of them, in Markdown. The namespace is that of kubectl's context there."""
        space, pods = self.job.namespace, self.job.namespace.all_pods()
        commands = (
            f"describe osftjob {self.job.name}",
            "get pods --output=wide",
            "get events --sort-by=.lastTimestamp",
            *(f"logs {pod['metadata']['name']}" for pod in pods),
        )
        said = (session(f"kubectl {command}", space.kubectl(*command.split()).stdout) for command in commands)
        return "\n".join((session(WATCH, self.seen.read_text()), *said))


def session(command: str, said: str) -> str:
    return f"```text\n$ {command}\n{said.rstrip()}\n```\n"


@contextmanager
def watching(job: Job, folder: Path) -> Iterator[Watch]:
    """kubectl's watch of the namespace, until this is left."""
    seen, space = folder / "watch.txt", job.namespace
    command = [str(space.program), f"--kubeconfig={space.kubeconfig}", f"--namespace={space.name}", *WATCH.split()[1:]]
    with seen.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as program:
        try:
            yield Watch(job, seen)
        finally:
            program.terminate()
