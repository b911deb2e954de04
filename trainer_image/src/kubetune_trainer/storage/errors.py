"""What a store refuses, by who must do something about it: the user, or time."""

from __future__ import annotations

import os
from errno import EDQUOT, ENOSPC
from typing import NoReturn

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import ConfigurationError, TrainingError

NO_CREDENTIALS = "NoCredentials"
NOT_FOUND = ("NoSuchKey", "NotFound", "404")
DENIED = "check the Secret's keys and what they may do"

REFUSALS: dict[str, tuple[str, str]] = {
    "NoSuchBucket": ("names a bucket that the store does not have", "check the bucket's name, AWS_ENDPOINT_URL and AWS_REGION"),
    "InvalidBucketName": ("names a bucket as the store allows none", "write s3://bucket/key with 3 to 63 lower-case characters"),
    NO_CREDENTIALS: (
        "needs credentials, and there are none",
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (in a job: secretRef names a Secret that holds them)",
    ),
    "InvalidAccessKeyId": ("was refused: the store does not know this access key", "check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL"),
    "XAdminUserNotFound": ("was refused: the store does not know this access key", "check AWS_ACCESS_KEY_ID"),  # versitygw's word
    "SignatureDoesNotMatch": ("was refused: the secret key is not that of the access key", "check AWS_SECRET_ACCESS_KEY"),
    "ExpiredToken": ("was refused: the session's token has expired", "give a new AWS_SESSION_TOKEN, or a key that does not expire"),
    "InvalidToken": ("was refused: the session's token is not valid", "give a new AWS_SESSION_TOKEN, or leave it out"),
    "AccessDenied": ("was refused: these credentials may not do that", DENIED),
    "AllAccessDisabled": ("was refused: the store closed this bucket", DENIED),
    "403": ("was refused: these credentials may not do that", DENIED),
    "RequestTimeTooSkewed": ("was refused: this machine's clock is wrong", "set the clock"),
    "PermanentRedirect": ("lies in another region", "set AWS_REGION to the bucket's"),
    "AuthorizationHeaderMalformed": ("lies in another region", "set AWS_REGION to the bucket's"),
    "InvalidEndpoint": ("cannot be asked for: AWS_ENDPOINT_URL is no URL", "write for instance https://minio.example:9000"),
    **dict.fromkeys(NOT_FOUND, ("names nothing that is there", "check the key; list it with `aws s3 ls`")),
}
"""What no retry can mend: the store's error code, what is wrong, and the remedy."""

STORE_FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge")


class StoreError(Exception):
    """The store's answer, or the lack of one. `code`: S3's, or the exception's name where there was no answer."""

    def __init__(self, code: str, message: str, *, passing: bool) -> None:
        self.code, self.message, self.passing = code, message, passing
        super().__init__(f"{code}: {message}")


class ChangedError(StoreError):
    """An object was replaced while it was read."""

    def __init__(self, uri: str) -> None:
        super().__init__("Changed", f"{uri} was replaced while it was read", passing=True)


def explain(field: str, value: str, error: StoreError | OSError) -> NoReturn:
    """Raises what the caller of the library, or the reader of the resource, is to know.

    Raises:
        ConfigurationError: only the user can mend it.
        TrainingError: the same call may succeed later; DiskFull where this machine, or the store, is full.

    """
    if isinstance(error, OSError):
        full = error.errno in (ENOSPC, EDQUOT)
        failure = FailureClass.DISK_FULL if full else FailureClass.BACKEND_ERROR
        message = f"{field}: {value!r} could not be kept on this machine's disk: {error}"
        if full:
            message += "; give the volume more room, or name another directory with KUBETUNE_STORE_CACHE"
        raise TrainingError(failure, message) from error
    if error.code in REFUSALS:
        problem, remedy = REFUSALS[error.code]
        raise ConfigurationError(field, value, problem, remedy) from error
    if not error.passing:
        raise ConfigurationError(field, value, f"was refused by the store ({error})", DENIED) from error
    raise unreachable(field, value, error) from error


def unreachable(field: str, value: str, error: StoreError) -> TrainingError:
    """What a later try may find mended."""
    failure = FailureClass.DISK_FULL if error.code in STORE_FULL else FailureClass.BACKEND_ERROR
    return TrainingError(failure, f"{field}: {value!r} could not be reached at {endpoint()}: {error}")


def endpoint() -> str:
    """Where requests go, for messages."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "AWS (AWS_ENDPOINT_URL is not set)"
