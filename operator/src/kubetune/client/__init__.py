"""The Python client: jobs on a cluster, or on the embedded one (docs/sdk.md)."""

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
from kubetune.client.seen import JobList

__all__ = [
    "AmbiguousNameError",
    "Client",
    "ClientError",
    "ConflictError",
    "Event",
    "ForbiddenError",
    "JobFailedError",
    "JobHandle",
    "JobList",
    "NoClusterError",
    "NoLogError",
    "NotFoundError",
    "NotInstalledError",
    "UnavailableError",
    "WaitTimeoutError",
]
