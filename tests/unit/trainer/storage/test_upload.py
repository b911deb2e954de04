from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from s3_server import S3Server

from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.location import Location
from kubetune_trainer.storage.upload import Uploader, abort_begun

pytestmark = pytest.mark.store

PART = 5 * 2**20  # S3's least
SIZE = 3 * PART + 12345
TARGET = Location("box", "runs/weights.bin")


@dataclass
class HarmfulClient(Client):
    """Does `harm` when that many parts were sent."""

    after: int = 99
    harm: Any = None
    parts: list[int] = field(default_factory=list)
    one_at_a_time: Any = field(default_factory=threading.Lock)

    def call(self, method: str, **request: Any) -> Any:
        if method != "upload_part":
            return super().call(method, **request)
        with self.one_at_a_time:
            if len(self.parts) == self.after:
                self.harm()
            answer = super().call(method, **request)
            self.parts.append(request["PartNumber"])
            return answer


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(hashlib.shake_128(b"weights").digest(SIZE))
    return path


@pytest.fixture
def digest(weights: Path) -> str:
    return hashlib.sha256(weights.read_bytes()).hexdigest()


def test_a_large_file_goes_in_parts_and_is_there(client: Client, server: S3Server, weights: Path, digest: str):
    uploader = Uploader(PART)
    uploader.send(client, weights, TARGET, digest)
    assert (server.buckets / "box" / TARGET.key).read_bytes() == weights.read_bytes()
    found = client.head(TARGET)
    assert found is not None
    assert (found.bytes, found.sha256) == (SIZE, digest)


def test_what_is_there_is_not_sent_again(client: Client, weights: Path, digest: str):
    Uploader(PART).send(client, weights, TARGET, digest)
    another = Uploader(PART)  # as in a new process
    another.send(client, weights, TARGET, digest)
    assert another.sent_bytes == 0


def test_the_same_name_with_another_content_is(client: Client, server: S3Server, tmp_path: Path):
    for content in (b"one", b"two"):
        path = tmp_path / "small"
        path.write_bytes(content)
        Uploader(PART).send(client, path, TARGET, hashlib.sha256(content).hexdigest())
        assert (server.buckets / "box" / TARGET.key).read_bytes() == content


def test_a_server_killed_in_the_middle_gets_only_what_it_lacks(server: S3Server, weights: Path, digest: str):
    uploader = Uploader(PART)
    broken = HarmfulClient(patience=0, after=2, harm=server.kill)
    with pytest.raises(StoreError) as caught:
        uploader.send(broken, weights, TARGET, digest)
    assert caught.value.passing
    assert not (server.buckets / "box" / TARGET.key).exists()

    server.start()
    again = HarmfulClient(patience=60)
    uploader.send(again, weights, TARGET, digest)
    assert sorted({*broken.parts, *again.parts}) == [1, 2, 3, 4]
    assert not set(broken.parts) & set(again.parts)
    assert (server.buckets / "box" / TARGET.key).read_bytes() == weights.read_bytes()


def test_an_upload_that_the_store_forgot_is_begun_anew(server: S3Server, client: Client, weights: Path, digest: str):
    uploader = Uploader(PART)
    with pytest.raises(StoreError):
        uploader.send(HarmfulClient(patience=0, after=1, harm=server.kill), weights, TARGET, digest)
    server.start()
    abort_begun(client, Location("box", "runs"), lambda key: False)
    with pytest.raises(StoreError, match="NoSuchUpload") as caught:
        uploader.send(client, weights, TARGET, digest)
    assert caught.value.passing
    uploader.send(client, weights, TARGET, digest)
    assert (server.buckets / "box" / TARGET.key).read_bytes() == weights.read_bytes()


def test_an_interrupted_upload_stops_before_the_next_part(client: Client, weights: Path, digest: str):
    uploader, stopped = Uploader(PART), Client(patience=60)
    stopped.stop.set()
    with pytest.raises(StoreError, match="Interrupted"):
        uploader.send(stopped, weights, TARGET, digest)
    uploader.send(client, weights, TARGET, digest)
    found = client.head(TARGET)
    assert found is not None
    assert found.sha256 == digest


def test_uploads_left_behind_by_others_are_ended(client: Client):
    for key in ("job/attempt-1/w", "job/attempt-2/w"):
        client.call("create_multipart_upload", Bucket="box", Key=key)
    abort_begun(client, Location("box", "job"), lambda key: key.startswith("job/attempt-2/"))
    left = client.call("list_multipart_uploads", Bucket="box", Prefix="job/")["Uploads"]
    assert [each["Key"] for each in left] == ["job/attempt-2/w"]
