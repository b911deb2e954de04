"""What to type: kubectl on a cluster, kubetune and the shell on the embedded one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from kubetune.cluster import JOB_NAME


@dataclass(frozen=True)
class Commands:
    """Commands about one job. `state_dir`: of the embedded cluster; None: a real one."""

    kind: str
    namespace: str
    name: str
    state_dir: str | None = None
    file: str | None = None
    """The job's file, where the user gave it."""

    @property
    def local(self) -> bool:
        return self.state_dir is not None

    @property
    def job(self) -> str:
        return f"{self.kind.lower()}/{self.name}"

    @property
    def given_file(self) -> str:
        return self.file or "job.yaml"

    def kubectl(self, *words: str) -> str:
        return shlex.join(["kubectl", *words, "-n", self.namespace])

    def describe(self, what: str = "") -> str:
        if self.local:
            return f"cat {self.state_dir}/resources/{self.kind.lower()}/{self.namespace}/{self.name}.json"
        return self.kubectl("describe", what or self.job)

    def get(self, what: str) -> str:
        return f"ls {self.state_dir}/resources/*/{self.namespace}" if self.local else self.kubectl("get", what)

    def pods(self) -> str:
        if self.local:
            return f"ls {self.state_dir}/pods/{self.namespace}"
        return self.kubectl("get", "pods", "-o", "wide", "-l", f"{JOB_NAME}={self.name}")

    def logs(self, pod: str = "") -> str:
        """Of that pod, or of all."""
        if self.local:
            return f"tail -n 50 {self.state_dir}/pods/{self.namespace}/{pod or self.name + '-'}*/log"
        return (
            self.kubectl("logs", pod, "--tail=100") if pod else self.kubectl("logs", "-l", f"{JOB_NAME}={self.name}", "--tail=50")
        )

    def patch(self, spec: str) -> str:
        """A merge patch of the spec, as JSON."""
        if self.local:
            return f"kubetune run {shlex.quote(self.given_file)}"
        return self.kubectl("patch", self.job, "--type=merge", "-p", f'{{"spec":{spec}}}')

    def again(self) -> str:
        """After the file was mended."""
        return f"kubetune run {shlex.quote(self.given_file)}" if self.local else f"kubectl apply -f {shlex.quote(self.given_file)}"

    def resume(self) -> str:
        """Of a job that was suspended."""
        return self.again() if self.local else shlex.join(["kubetune", "resume", self.job, "-n", self.namespace])

    def retry(self) -> str:
        """Another attempt of a job that Failed, from its last verified state."""
        return self.again() if self.local else shlex.join(["kubetune", "retry", self.job, "-n", self.namespace])

    def validate(self) -> str:
        return f"kubetune validate {shlex.quote(self.given_file)}"

    def estimate(self) -> str:
        return f"kubetune estimate {shlex.quote(self.given_file)} --gpu-memory 80Gi"

    def watch(self) -> str:
        return self.logs() if self.local else self.kubectl("get", self.job, "-w")
