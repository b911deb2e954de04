"""A real S3 server, versitygw over a directory, on loopback; it can be killed and comes back with what it held."""

from __future__ import annotations

import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backend_runs import free_port
from waiting import until

from e2e.cluster import binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS, SECRET = "kubetune-test", "kubetune-test-secret"


@dataclass
class S3Server:
    """`buckets` is the directory whose subdirectories are the buckets, and whose files are the objects."""

    buckets: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a Secret would hold."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        binary = binaries.target_of(binaries.PROGRAMS["versitygw"])
        assert binary.exists(), "the S3 server is not built: make programs"
        options = ["--access", ACCESS, "--secret", SECRET, "--port", f"127.0.0.1:{self.port}", "--quiet"]
        self.process = subprocess.Popen(
            [str(binary), *options, "posix", str(self.buckets)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self.answers, "the S3 server listens")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the S3 server ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def bucket(self, name: str) -> Path:
        path = self.buckets / name
        path.mkdir(exist_ok=True)
        return path


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """Running, with its variables in this process's environment."""
    directory.mkdir(parents=True, exist_ok=True)
    server = S3Server(directory)
    with ExitStack() as stack:
        stack.callback(server.kill)
        server.start()
        stack.enter_context(environment(**server.environment))
        yield server


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
