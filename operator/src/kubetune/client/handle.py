"""A job to work with: what the client can do about a job, without naming it again."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from inspect import signature
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from kubetune.client.client import Client
from kubetune.client.seen import SeenJob
from kubetune.cluster import Manifest

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])


def of_job(method: Callable[Concatenate[Client, SeenJob, P], T]) -> Callable[Concatenate[JobHandle, P], T]:
    """The client's method with this job in place of a name."""

    def call(self: JobHandle, /, *args: P.args, **options: P.kwargs) -> T:
        result = method(self.client, self, *args, **options)
        self.see(result)
        return result

    return named_as(call, method)


def named_as(call: C, method: Callable[..., Any]) -> C:
    """With the method's name, help and signature, but for the job."""
    update_wrapper(call, method)
    known = signature(method)
    call.__signature__ = known.replace(parameters=[p for p in known.parameters.values() if p.name != "job"])  # type: ignore[attr-defined]
    return call


class JobHandle(SeenJob):
    """A job as it was last seen. Its methods ask the cluster; `refresh` brings what was seen up to date."""

    def __init__(self, client: Client, manifest: Manifest) -> None:
        super().__init__(manifest)
        self.client = client

    def refresh(self) -> Self:
        """Looks again."""
        self.see(self.client.get(self))
        return self

    status = of_job(Client.status)
    pods = of_job(Client.pods)
    pytorchjob = of_job(Client.pytorchjob)
    queueing = of_job(Client.queueing)
    events = of_job(Client.events)
    wait = of_job(Client.wait)
    logs = of_job(Client.logs)
    stream = of_job(Client.stream)
    suspend = of_job(Client.suspend)
    resume = of_job(Client.resume)
    retry = of_job(Client.retry)
    delete = of_job(Client.delete)
    checkpoints = of_job(Client.checkpoints)
