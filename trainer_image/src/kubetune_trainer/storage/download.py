"""Models and data sets of a store as local files, in a cache whose entries are named by what the store says of the content.

An entry is published by one rename, when every file has the size that the store told. A download that was cut off goes on
where it was. Processes that want the same at once wait for the first, by a lock that ends with its process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from errno import ENOSPC
from os import strerror
from pathlib import Path, PurePosixPath

from filelock import FileLock

from kubetune_trainer.checkpoints.manifest import check_manifest
from kubetune_trainer.contract import MANIFEST_NAME
from kubetune_trainer.storage.client import Client, StoredObject
from kubetune_trainer.storage.errors import ChangedError, StoreError, endpoint
from kubetune_trainer.storage.location import Location

log = logging.getLogger(__name__)

WRITING = ".writing-"
AT_ONCE = 4  # files, or ranges of them
SPARE_BYTES = 64 * 2**20  # of the disk that are not filled
TRIES_WHEN_CHANGED = 3


@dataclass(frozen=True)
class Cache:
    """Entries are directories below `directory`; `part_bytes`: how much one request reads."""

    directory: Path
    part_bytes: int

    def folder(self, client: Client, location: Location, unwanted: Sequence[str] = ()) -> Path:
        """Everything below `location` as a directory, but for files that match a pattern of `unwanted`.

        Raises:
            StoreError: there is nothing, it may not be read, the store cannot be reached, or it changes all the time.
            OSError: the disk; ENOSPC where it has too little room for what is to come.

        """
        for _ in range(TRIES_WHEN_CHANGED):
            with contextlib.suppress(ChangedError):
                return self._get(client, location.bucket, wanted(client.below(location), location, unwanted))
        raise ChangedError(location.uri)

    def file(self, client: Client, location: Location) -> Path:
        """That object as a file of the same name; raises as `folder`."""
        for _ in range(TRIES_WHEN_CHANGED):
            found = client.head(location)
            if found is None:
                next(iter(client.below(location)), None)  # a bucket that is not there is said here, HEAD has no words
                raise StoreError("NoSuchKey", location.uri, passing=False)
            with contextlib.suppress(ChangedError):
                name = PurePosixPath(location.key).name
                return self._get(client, location.bucket, {name: found}) / name
        raise ChangedError(location.uri)

    def _get(self, client: Client, bucket: str, files: dict[str, StoredObject]) -> Path:
        if not files:
            raise StoreError("NoSuchKey", "there is nothing below it", passing=False)
        key = key_of(bucket, files)
        entry = self.directory / key
        if whole(entry, files):
            return entry
        self.directory.mkdir(parents=True, exist_ok=True)
        with locked(self.directory / f".{key}.lock"):
            if not whole(entry, files):  # whoever had the lock may have brought it
                self._fill(client, bucket, files, entry)
        return entry

    def _fill(self, client: Client, bucket: str, files: dict[str, StoredObject], entry: Path) -> None:
        scratch = self.directory / f"{WRITING}{entry.name}"
        bring(client, bucket, files, scratch, self.part_bytes)
        problems = check_manifest(scratch) if (scratch / MANIFEST_NAME).is_file() else []
        if problems:
            shutil.rmtree(scratch)
            raise StoreError("Damaged", f"what was downloaded is not what was uploaded: {'; '.join(problems[:3])}", passing=True)
        shutil.rmtree(entry, ignore_errors=True)  # one that lost a file
        scratch.rename(entry)


def wanted(found: Iterator[StoredObject], below: Location, unwanted: Sequence[str] = ()) -> dict[str, StoredObject]:
    """By path relative to `below`; directory markers (keys that end with a slash) and whatever steps upwards are left out."""
    files = {each.key.removeprefix(below.prefix): each for each in found if not each.key.endswith("/")}
    return {
        name: each
        for name, each in files.items()
        if ".." not in name.split("/") and not any(PurePosixPath(name).match(pattern) for pattern in unwanted)
    }


def key_of(bucket: str, files: dict[str, StoredObject]) -> str:
    """SHA-256 of which store, which objects, and what it says of their content."""
    parts = [endpoint(), bucket, sorted((name, each.key, each.etag, each.bytes) for name, each in files.items())]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def whole(directory: Path, files: dict[str, StoredObject]) -> bool:
    try:
        return all((directory / name).stat().st_size == each.bytes for name, each in files.items())
    except OSError:
        return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for another process as long as it lives; on a file system without locks it goes on alone."""
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        log.warning("%s cannot be locked (%s): processes that start at once must not share this cache", path, error)
    try:
        yield
    finally:
        lock.release()


def bring(client: Client, bucket: str, files: dict[str, StoredObject], target: Path, part_bytes: int) -> None:
    """Downloads what `target` lacks of the files; every one has the size that the store told when this returns.

    Raises:
        StoreError: ChangedError where an object is not the listed one any more.
        OSError: the disk.

    """
    target.mkdir(parents=True, exist_ok=True)
    lacking = {name: each for name, each in files.items() if not whole(target, {name: each})}
    to_come = sum(each.bytes for each in lacking.values()) - sum(part.stat().st_size for part in target.rglob("*.part"))
    free = shutil.disk_usage(target).free
    if to_come > free - SPARE_BYTES:
        raise OSError(ENOSPC, f"{strerror(ENOSPC)}: {to_come:,} bytes are to come, {free:,} are free", str(target))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(bring_file, client, bucket, each, target / name, part_bytes) for name, each in lacking.items()]:
            done.result()


def bring_file(client: Client, bucket: str, wanted: StoredObject, target: Path, part_bytes: int) -> None:
    """A half of another content is begun anew: its name holds the ETag."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mark = hashlib.sha256(wanted.etag.encode()).hexdigest()[:12]
    part, location = target.with_name(f"{target.name}.{mark}.part"), Location(bucket, wanted.key)
    with part.open("ab") as file:
        while (start := file.tell()) < wanted.bytes:
            content = client.read(location, start, min(start + part_bytes, wanted.bytes))
            if not content:
                raise ChangedError(location.uri)
            file.write(content)
    now = client.head(location)
    if part.stat().st_size != wanted.bytes or now is None or (now.etag, now.bytes) != (wanted.etag, wanted.bytes):
        part.unlink()
        raise ChangedError(location.uri)
    part.replace(target)
