"""What the client raises: each error's text is one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubetune.api.status import JobStatus


class ClientError(Exception):
    """The base of all of them, but for `kubetune.api.InvalidJob`, which names fields of a job."""


class NoClusterError(ClientError):
    """There is no configuration of a cluster, or what it names does not answer."""


class NotInstalledError(ClientError):
    """The cluster does not know the kinds SFTJob and OSFTJob."""


class NotFoundError(ClientError):
    """There is no such job (any more)."""


class AmbiguousNameError(ClientError):
    """An SFTJob and an OSFTJob bear that name."""


class ForbiddenError(ClientError):
    """The cluster does not let this user do it."""


class ConflictError(ClientError):
    """What is there already, or somebody else's change at the same time, stands against it."""


class UnavailableError(ClientError):
    """The API server did not do it and may later (429, 5xx)."""


class NoLogError(ClientError):
    """That pod's log is not there, or not any more. `tail`: what the job's status kept of it."""

    def __init__(self, message: str, tail: str = "") -> None:
        super().__init__(message)
        self.tail = tail


class JobFailedError(ClientError):
    """The job that was waited for Failed."""

    def __init__(self, name: str, status: JobStatus) -> None:
        failure = status.failure
        self.status = status
        self.failure_class = failure.failure_class if failure else None
        """A `FailureClass`, as docs/failures.md has them."""
        self.message = failure.message if failure else "its status names no reason"
        self.log_tail = (failure.log_tail if failure else None) or ""
        """The last lines of the log that hold the root error; empty where the message says it all."""
        said = f"{failure.failure_class.value}: " if failure else ""
        super().__init__(f"{name} has Failed: {said}{self.message}")


class WaitTimeoutError(ClientError, TimeoutError):
    """The job was not finished in time; it goes on."""
