"""The few requests to an S3 store that this project makes, through s3fs, which is imported at the first one (a second)."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubetune_trainer.storage.errors import NO_CREDENTIALS, NOT_FOUND, REFUSALS, StoreError
from kubetune_trainer.storage.location import Location

CONNECT_SECONDS, READ_SECONDS = 5, 60
TRIES = 2  # botocore's own for each request; beyond that we wait, where we can be told to stop
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds between tries
DELETED_AT_ONCE = 1000  # S3's limit

PASSING_STATUS = (408, 409, 429)
PASSING_CODES = ("RequestTimeout", "IncompleteBody", "BadDigest", "SlowDown", "XAmzContentSHA256Mismatch", "Unknown")
"""Answers that another try may not get, though their status is one of those for bad requests."""

NO_WORDS = ("400", "403")
"""All that an answer to HEAD says: it has no body."""

NO_ANSWER = ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError", "NoAuthTokenError")
"""botocore's exceptions for credentials that are not there at all."""


@dataclass(frozen=True)
class StoredObject:
    """What the store says of an object."""

    key: str
    bytes: int
    etag: str  # changes with the content (content_mark)
    sha256: str | None = None  # of what we uploaded ourselves; only `head` tells it


@dataclass
class Client:
    """Requests that are made again while the store cannot be reached: for `patience` seconds each, or until `stop` is set.

    Raises StoreError from every method.
    """

    patience: float = 60.0
    stop: threading.Event = field(default_factory=threading.Event)

    @functools.cached_property
    def _fs(self) -> Any:
        import s3fs

        for chatty in ("aiobotocore.credentials", "botocore.configprovider"):  # told for every client, at INFO
            logging.getLogger(chatty).setLevel(logging.WARNING)
        config = {
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "retries": {"total_max_attempts": TRIES, "mode": "standard"},
        }
        system = s3fs.S3FileSystem(config_kwargs=config, skip_instance_cache=True)  # the environment may have changed since
        system.retries = 1
        return system

    def below(self, location: Location) -> Iterator[StoredObject]:
        """Everything below it."""
        for page in self._pages(location):
            for each in page.get("Contents", []):
                yield StoredObject(each["Key"], each["Size"], content_mark(each))

    def folders(self, location: Location) -> list[str]:
        """The names one step below it that have something below them."""
        pages = self._pages(location, Delimiter="/")
        return [each["Prefix"].rstrip("/").rpartition("/")[2] for page in pages for each in page.get("CommonPrefixes", [])]

    def _pages(self, location: Location, **more: str) -> Iterator[dict[str, Any]]:
        while True:
            page = self.call("list_objects_v2", Bucket=location.bucket, Prefix=location.prefix, **more)
            yield page
            if not page.get("IsTruncated"):
                return
            more["ContinuationToken"] = page["NextContinuationToken"]

    def head(self, location: Location) -> StoredObject | None:
        """None: there is no such object (or no such bucket: the store does not say which)."""
        try:
            found = self.call("head_object", Bucket=location.bucket, Key=location.key)
        except StoreError as error:
            if error.code in NOT_FOUND:
                return None
            if error.code in NO_WORDS:
                next(iter(self.below(location)), None)  # refused as well, and it says why
            raise
        return StoredObject(location.key, found["ContentLength"], content_mark(found), found.get("Metadata", {}).get("sha256"))

    def read(self, location: Location, start: int = 0, end: int | None = None) -> bytes:
        """Bytes from `start` to before `end`."""
        content: bytes = self._again(lambda: self._fs.cat_file(f"{location.bucket}/{location.key}", start=start, end=end))
        return content

    def put(self, location: Location, content: bytes, sha256: str) -> None:
        self.call("put_object", Bucket=location.bucket, Key=location.key, Body=content, Metadata={"sha256": sha256})

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), DELETED_AT_ONCE):
            objects = [{"Key": key} for key in keys[first : first + DELETED_AT_ONCE]]
            answer = self.call("delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            for failed in answer.get("Errors", []):
                raise StoreError(failed["Code"], f"{failed['Key']} was not deleted: {failed['Message']}", passing=False)

    def call(self, method: str, **request: Any) -> Any:
        """One request of the S3 API by its botocore name."""
        return self._again(lambda: self._fs.call_s3(method, **request))

    def _again(self, ask: Callable[[], Any]) -> Any:
        deadline, pause = time.monotonic() + self.patience, FIRST_PAUSE
        while True:
            try:
                return ask()
            except Exception as error:  # s3fs, botocore and aiohttp share no base
                found = as_store_error(error)
                if not found.passing or time.monotonic() + pause > deadline or self.stop.wait(pause):
                    raise found from error
            pause = min(2 * pause, LONGEST_PAUSE)


def content_mark(answer: Mapping[str, Any]) -> str:
    """The ETag; the time of the last change where a gateway knows none, as of files that were put behind its back."""
    return str(answer.get("ETag") or answer["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"))


def as_store_error(error: Exception) -> StoreError:
    """By the code of the store's answer, which s3fs hides in the cause of an OSError."""
    cause = error if hasattr(error, "response") else error.__cause__
    answer = getattr(cause, "response", None)
    if answer:
        code = str(answer.get("Error", {}).get("Code", "Unknown"))
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 500)
        message = str(answer.get("Error", {}).get("Message") or error)
        passing = status >= 500 or status in PASSING_STATUS or code in PASSING_CODES
        return StoreError(code, message, passing=passing and code not in REFUSALS)
    name = type(error).__name__
    if name in NO_ANSWER:
        return StoreError(NO_CREDENTIALS, str(error), passing=False)
    if isinstance(error, ValueError):  # botocore's for an endpoint that is no URL
        return StoreError("InvalidEndpoint", str(error), passing=False)
    if isinstance(error, FileNotFoundError):
        return StoreError("NoSuchKey", str(error), passing=False)
    return StoreError(name, str(error) or name, passing=True)
