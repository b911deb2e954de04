"""What a user's terminal shows of one job, as kubectl prints it: nothing is edited."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real_cluster import Job
from waiting import until

WATCH = "kubectl get osftjobs -w"


@dataclass(frozen=True)
class Watch:
    """`kubectl get -w` beside a job, and what the other commands say once it has Succeeded."""

    job: Job
    seen: Path

    def text(self) -> str:
        """Of all of them, in Markdown. The namespace is that of kubectl's context there."""
        until(lambda: "Succeeded" in self.seen.read_text(), "the end of the job in kubectl's watch", seconds=30)
        pods = [pod["metadata"]["name"] for pod in self.job.namespace.all_pods()]
        commands = (
            f"kubectl describe osftjob {self.job.name}",
            "kubectl get pods --output=wide",
            "kubectl get events --sort-by=.lastTimestamp",
            *(f"kubectl logs {pod} | grep kubetune" for pod in pods),  # the backend's own 30 lines a step left out
        )
        return "\n".join((session(WATCH, self.seen.read_text()), *(session(each, self.said(each)) for each in commands)))

    def said(self, command: str) -> str:
        """What that line prints in a shell."""
        typed, _, kept = command.removeprefix("kubectl ").partition(" | grep ")
        said = self.job.namespace.kubectl(*typed.split()).stdout
        return "".join(line for line in said.splitlines(keepends=True) if kept in line)


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
