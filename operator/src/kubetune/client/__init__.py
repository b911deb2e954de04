"""The Python client: jobs on a cluster, or on the embedded one (docs/sdk.md)."""

from kubetune.client.asynchronous import AsyncClient, AsyncJobHandle
from kubetune.client.client import Client
from kubetune.client.errors import (
    AmbiguousNameError,
    ClientError,
    ConflictError,
    ForbiddenError,
    JobFailedError,
    NoClusterError,
    NoLogError,
    NotFoundError,
    NotInstalledError,
    UnavailableError,
    WaitTimeoutError,
)
from kubetune.client.handle import JobHandle
from kubetune.client.jobs import Event
from kubetune.client.logs import LogLine
from kubetune.client.seen import JobList

__all__ = [
    "AmbiguousNameError",
    "AsyncClient",
    "AsyncJobHandle",
    "Client",
    "ClientError",
    "ConflictError",
    "Event",
    "ForbiddenError",
    "JobFailedError",
    "JobHandle",
    "JobList",
    "LogLine",
    "NoClusterError",
    "NoLogError",
    "NotFoundError",
    "NotInstalledError",
    "UnavailableError",
    "WaitTimeoutError",
]
