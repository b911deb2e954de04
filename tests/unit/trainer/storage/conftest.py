"""A real S3 server for the tests of this folder that ask for one, and what most of them need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import S3Server, s3_server

from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.location import Location
from kubetune_trainer.storage.settings import StoreSettings

PART = 5 * 2**20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with s3_server(tmp_path / "buckets") as running:
        running.bucket("box")
        yield running


@pytest.fixture
def client(server: S3Server) -> Client:
    del server
    return Client(patience=60)


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(tmp_path / "cache", 60, PART)


@pytest.fixture
def put(client: Client) -> Any:
    def put(key: str, content: bytes) -> Location:
        client.put(Location("box", key), content, "0" * 64)
        return Location("box", key)

    return put
