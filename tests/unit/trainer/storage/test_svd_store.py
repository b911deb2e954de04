"""Decompositions in a real S3 store, behind a directory that each machine has of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from s3_server import S3Server

from kubetune_trainer.plugins.svd_cache import SvdCache, entry
from kubetune_trainer.plugins.svd_store import SvdStore
from kubetune_trainer.storage.client import Client
from kubetune_trainer.storage.location import Location

pytestmark = pytest.mark.store
PLENTY = 2**30
PLACE = Location("box", "svd")


def thin(matrix: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tuple(torch.linalg.svd(matrix, full_matrices=False))


def refuse(matrix: torch.Tensor) -> tuple[torch.Tensor, ...]:
    raise AssertionError("it is there, and was computed again")


def machine(directory: Path) -> SvdCache:
    """A new one, whose disk knows nothing."""
    return SvdCache(directory, PLENTY, SvdStore(PLACE, Client(patience=0)))


def test_what_one_machine_computed_another_finds(server: S3Server, tmp_path: Path):
    matrix = torch.randn(6, 4)
    first = machine(tmp_path / "one").get_or_compute(matrix, thin)
    second = machine(tmp_path / "two").get_or_compute(matrix.clone(), refuse)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    server.kill()
    third = machine(tmp_path / "two").get_or_compute(matrix, refuse)  # it is on that machine's disk since
    assert all(torch.equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.parametrize("damage", ["torn", "of another matrix", "on the store's disk"])
def test_a_damaged_object_is_computed_again_and_replaced(
    server: S3Server, client: Client, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
):
    matrix, other = torch.randn(6, 4), torch.randn(6, 4)
    one = machine(tmp_path / "one")
    for each in (matrix, other):
        one.get_or_compute(each, thin)
    name, another = (entry(Path(), each).as_posix() for each in (matrix, other))
    content = b"torn" if damage == "torn" else client.read(PLACE.below(another))
    if damage == "on the store's disk":
        (server.buckets / "box" / "svd" / name).write_bytes(content)
    else:
        client.put(PLACE.below(name), content, "0" * 64)

    u, s, vh = machine(tmp_path / "two").get_or_compute(matrix, thin)
    torch.testing.assert_close((u * s) @ vh, matrix)
    assert "cannot be used" in caplog.text
    machine(tmp_path / "three").get_or_compute(matrix, refuse)


def test_a_store_that_is_away_or_refuses_is_told_once_and_costs_no_run(
    server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    nowhere = SvdCache(tmp_path / "one", PLENTY, SvdStore(Location("no-such-bucket"), Client(patience=0)))
    server_is_there = [nowhere.get_or_compute(torch.randn(6, 4), thin) for _ in range(2)]
    assert len(server_is_there) == 2
    assert caplog.text.count("cannot be used (NoSuchBucket") == 1
    server.kill()
    away = machine(tmp_path / "two")
    matrices = [torch.randn(6, 4) for _ in range(2)]
    for matrix in matrices:
        u, s, vh = away.get_or_compute(matrix, thin)
        torch.testing.assert_close((u * s) @ vh, matrix)
    assert caplog.text.count("decompositions are not shared through it") == 2
    assert all(entry(tmp_path / "two", matrix).exists() for matrix in matrices)
