"""One file into the store: skipped where it is there already, in parts where it is large, and gone on with after a break."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from kubetune_trainer.storage.client import Client, StoredObject
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.location import Location

MAX_PARTS = 10_000
AT_ONCE = 4  # parts; each is held in memory while it is sent


@dataclass
class Uploader:
    """Remembers the uploads that were begun, so that the next try sends only the parts that the store lacks."""

    part_bytes: int
    sent_bytes: int = 0  # by this process, what was there already not counted
    _begun: dict[tuple[Location, str], str] = field(default_factory=dict)  # with the content's hash -> UploadId

    def send(self, client: Client, path: Path, target: Location, sha256: str) -> None:
        """Afterwards the store holds that content there, and its SHA-256 as metadata.

        Raises:
            StoreError: it does not; the next call goes on where this one ended.
            OSError: the file cannot be read.

        """
        size = path.stat().st_size
        if is_there(client.head(target), size, sha256):
            return
        if size <= self.part_bytes:
            client.put(target, path.read_bytes(), sha256)
            self.sent_bytes += size
        else:
            self._in_parts(client, path, target, sha256)
        if not is_there(client.head(target), size, sha256):
            raise StoreError("NotThere", f"{target.uri} is not what was sent", passing=True)

    def _in_parts(self, client: Client, path: Path, target: Location, sha256: str) -> None:
        key = (target, sha256)
        names = {"Bucket": target.bucket, "Key": target.key}
        if key not in self._begun:
            self._begun[key] = client.call("create_multipart_upload", **names, Metadata={"sha256": sha256})["UploadId"]
        names["UploadId"] = self._begun[key]
        size = path.stat().st_size
        step = max(self.part_bytes, -(-size // MAX_PARTS))
        try:
            there = dict(parts_of(client, names))
            lacking = [n for n in range(1, -(-size // step) + 1) if n not in there]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                sending = [(n, pool.submit(self._part, client, path, names, n, step)) for n in lacking]
                try:
                    there |= {n: done.result() for n, done in sending}
                finally:
                    pool.shutdown(cancel_futures=True)
            parts = [{"PartNumber": n, "ETag": etag} for n, etag in sorted(there.items())]
            client.call("complete_multipart_upload", **names, MultipartUpload={"Parts": parts})
        except StoreError as error:
            if error.code == "NoSuchUpload":  # the store forgot it, or finished it and its answer was lost
                del self._begun[key]
                raise StoreError(error.code, error.message, passing=True) from error
            raise
        del self._begun[key]

    def _part(self, client: Client, path: Path, names: dict[str, str], number: int, step: int) -> str:
        if client.stop.is_set():
            raise StoreError("Interrupted", "the upload was interrupted", passing=True)
        with path.open("rb") as file:
            file.seek((number - 1) * step)
            content = file.read(step)
        etag: str = client.call("upload_part", **names, PartNumber=number, Body=content)["ETag"]
        self.sent_bytes += len(content)
        return etag


def is_there(found: StoredObject | None, size: int, sha256: str) -> bool:
    return found is not None and (found.bytes, found.sha256) == (size, sha256)


def parts_of(client: Client, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Part number and ETag of what was sent in an upload that is not finished."""
    marker: dict[str, int] = {}
    while True:
        page = client.call("list_parts", **names, **marker)
        yield from ((part["PartNumber"], part["ETag"]) for part in page.get("Parts", []))
        if not page.get("IsTruncated"):
            return
        marker = {"PartNumberMarker": page["NextPartNumberMarker"]}


def abort_begun(client: Client, below: Location, keep: Callable[[str], bool]) -> None:
    """Ends the uploads that earlier processes left behind below `below`, which cost room; `keep` says by key which not."""
    found = client.call("list_multipart_uploads", Bucket=below.bucket, Prefix=below.prefix).get("Uploads", [])
    for each in found:
        if not keep(each["Key"]):
            with contextlib.suppress(StoreError):  # gone meanwhile
                client.call("abort_multipart_upload", Bucket=below.bucket, Key=each["Key"], UploadId=each["UploadId"])
