from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from s3_server import S3Server, environment

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.sources import resolve_dataset, resolve_model
from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.download import Cache
from kubetune_trainer.storage.errors import StoreError
from kubetune_trainer.storage.location import Location

pytestmark = pytest.mark.store

PART = 1000
LARGE = bytes(range(256)) * 40  # eleven parts


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@dataclass
class CountingClient(Client):
    """Remembers which ranges were read; `before` each read it may do harm."""

    ranges: list[tuple[str, int]] = field(default_factory=list)
    before: Any = None

    def read(self, location: Location, start: int = 0, end: int | None = None) -> bytes:
        if self.before:
            self.before(start)
        self.ranges.append((location.key, start))
        return super().read(location, start, end)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", PART)


@pytest.fixture
def counting(server: S3Server) -> CountingClient:
    del server
    return CountingClient(patience=60)


@pytest.fixture
def library_cache(tmp_path: Path) -> Iterator[Path]:
    with environment(KUBETUNE_STORE_CACHE=str(tmp_path / "c"), KUBETUNE_STORE_PATIENCE_SECONDS="0"):
        yield tmp_path / "c"


def test_a_model_is_a_directory_and_is_brought_once(put: Any, cache: Cache, counting: CountingClient):
    put("models/m/config.json", b"{}")
    put("models/m/sub/weights.bin", LARGE)
    put("models/m/model.gguf", b"another framework's")
    put("models/m2/config.json", b"another model")

    path = cache.folder(counting, Location("box", "models/m"), ["*.gguf"])
    assert sorted(str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()) == ["config.json", "sub/weights.bin"]
    assert (path / "sub" / "weights.bin").read_bytes() == LARGE
    counting.ranges.clear()
    assert cache.folder(counting, Location("box", "models/m"), ["*.gguf"]) == path
    assert counting.ranges == []


def test_a_new_content_is_a_new_entry(put: Any, cache: Cache, client: Client):
    first = cache.file(client, put("d/train.jsonl", b"one\n"))
    second = cache.file(client, put("d/train.jsonl", b"two\n"))
    assert (first.name, second.name) == ("train.jsonl", "train.jsonl")
    assert (first.read_bytes(), second.read_bytes()) == (b"one\n", b"two\n")


def test_two_that_arrive_at_once_bring_it_once(put: Any, cache: Cache, server: S3Server):
    location = put("m/weights.bin", LARGE)
    clients = [CountingClient(patience=60) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda each: Cache(cache.directory, PART).file(each, location), clients))
    assert len(paths) == 1
    assert paths.pop().read_bytes() == LARGE
    assert sum(len(each.ranges) for each in clients) == 11
    assert server.process is not None


def test_a_download_that_was_cut_off_goes_on_where_it_was(put: Any, cache: Cache, counting: CountingClient, server: S3Server):
    location = put("m/weights.bin", LARGE)
    counting.patience, counting.before = 0, lambda start: server.kill() if start == 5 * PART else None
    with pytest.raises(StoreError) as caught:
        cache.file(counting, location)
    assert caught.value.passing

    server.start()
    counting.patience, counting.before = 60, None
    counting.ranges.clear()
    assert cache.file(counting, location).read_bytes() == LARGE
    assert [start for _, start in counting.ranges] == [n * PART for n in range(5, 11)]


def test_an_object_that_is_replaced_meanwhile_is_read_anew(put: Any, cache: Cache, counting: CountingClient):
    location, changed = put("m/weights.bin", LARGE), LARGE[::-1]

    def replace(start: int) -> None:
        if start == 3 * PART and not [r for r in counting.ranges if r[1] == start]:
            put("m/weights.bin", changed)

    counting.before = replace
    assert cache.file(counting, location).read_bytes() == changed


def test_a_file_lost_from_the_cache_is_brought_again(put: Any, cache: Cache, client: Client):
    put("m/a", b"a")
    put("m/b", b"b")
    path = cache.folder(client, Location("box", "m"))
    (path / "a").unlink()
    assert (cache.folder(client, Location("box", "m")) / "a").read_bytes() == b"a"


def test_keys_that_step_upwards_stay_where_they_are(put: Any, cache: Cache, server: S3Server, client: Client):
    put("m/a", b"a")
    found = list(client.below(Location("box", "m")))
    evil = [*found, type(found[0])("m/../../evil", 1, "e")]
    client.below = lambda location: iter(evil)  # type: ignore[method-assign]  # no honest server takes such a key
    path = cache.folder(client, Location("box", "m"))
    assert [p.name for p in path.iterdir()] == ["a"]
    assert server.process is not None


def test_a_disk_that_is_too_small_is_told_before_anything_is_read(put: Any, library_cache: Path, monkeypatch: pytest.MonkeyPatch):
    put("m/weights.bin", LARGE)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(100, 100, 0))
    with pytest.raises(TrainingError, match="KUBETUNE_STORE_CACHE") as caught:
        resolve_model("s3://box/m")
    assert caught.value.failure_class is FailureClass.DISK_FULL
    assert "model_path: 's3://box/m'" in str(caught.value)
    assert f"{len(LARGE):,} bytes are to come" in str(caught.value)
    assert not list(library_cache.rglob("weights.bin*"))


def test_what_the_library_calls(put: Any, library_cache: Path):
    put("m/config.json", b"{}")
    put("d/train.jsonl.gz", b"zip")
    assert (resolve_model("s3://box/m/") / "config.json").read_bytes() == b"{}"
    path = resolve_dataset("s3://box/d/train.jsonl.gz")
    assert path.name == "train.jsonl.gz"
    assert path.is_relative_to(library_cache / "downloads")


def test_a_sealed_checkpoint_whose_object_was_damaged_is_refused(put: Any, library_cache: Path, tmp_path: Path):
    from kubetune_trainer.checkpoints.manifest import write_manifest

    made = tmp_path / "ckpt"
    made.mkdir()
    (made / "model.bin").write_bytes(b"right")
    write_manifest(made, manifest_of("hf"))
    for file in made.iterdir():
        put(f"c/{file.name}", b"wrong" if file.name == "model.bin" else file.read_bytes())
    with pytest.raises(TrainingError, match=r"model\.bin has changed since it was verified"):
        resolve_model("s3://box/c")
    assert not list(library_cache.rglob("model.bin*"))  # nothing of it is kept


def manifest_of(kind: Any) -> Any:
    from datetime import UTC, datetime

    from kubetune_trainer.checkpoints.manifest import Manifest

    return Manifest(kind=kind, step=1, world_size=1, attempt=1, algorithm="sft", backend="x", time=datetime(2026, 1, 1, tzinfo=UTC))
