"""What is kept, what is not believed, what goes, and that nothing of it ends a run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.backends.mini_trainer import SVD_CACHE_ENV, SVD_CACHE_GIB_ENV
from kubetune_trainer.backends.mini_trainer import svd_cache as arguments
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.launch.evidence import read_stage
from kubetune_trainer.plugins import svd_cache
from kubetune_trainer.plugins.svd_cache import ABANDONED_SECONDS, WRITING, SvdCache, entry

PLENTY = 2**30


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The matrices that were really decomposed."""
    seen: list[torch.Tensor] = []
    real = torch.linalg.svd

    def counted(matrix: torch.Tensor, full_matrices: bool = True, **more: object) -> object:
        seen.append(matrix)
        return real(matrix, full_matrices=full_matrices, **more)

    monkeypatch.setattr(torch.linalg, "svd", counted)
    return seen


@pytest.fixture
def cache(tmp_path: Path, computed: list[torch.Tensor]) -> tuple[Path, list[torch.Tensor]]:
    svd_cache.install(directory=str(tmp_path), limit=PLENTY)
    return tmp_path, computed


def thin(matrix: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tuple(torch.linalg.svd(matrix, full_matrices=False))


def refuse(matrix: torch.Tensor) -> tuple[torch.Tensor, ...]:
    raise AssertionError("it is there, and was computed again")


def size_of(*paths: Path) -> int:
    return sum(path.stat().st_size for path in paths)


def used_before(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_the_second_time_the_stored_factors_are_equal_and_nothing_is_computed(cache: tuple[Path, list[torch.Tensor]]) -> None:
    matrix = torch.randn(6, 4)
    first = torch.linalg.svd(matrix, full_matrices=False)
    second = torch.linalg.svd(matrix.clone(), full_matrices=False)
    assert len(cache[1]) == 1
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    u, s, vh = second
    torch.testing.assert_close((u * s) @ vh, matrix)


def test_another_content_shape_or_kind_is_computed(cache: tuple[Path, list[torch.Tensor]]) -> None:
    matrix = torch.randn(6, 4)
    for other in (matrix, matrix + 1, matrix.reshape(4, 6), matrix.double()):
        torch.linalg.svd(other, full_matrices=False)
    torch.linalg.svd(matrix)  # full: not ours
    assert len(cache[1]) == 5


def torn(path: Path) -> None:
    path.write_bytes(b"torn")


def short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def flipped(path: Path) -> None:
    """In the middle of U, which safetensors does not notice."""
    raw = bytearray(path.read_bytes())
    raw[-200] ^= 0x40
    path.write_bytes(raw)


def of_another(path: Path) -> None:
    svd_cache.write(path, thin(torch.randn(6, 4)))


def of_another_shape(path: Path) -> None:
    svd_cache.write(path, thin(torch.randn(3, 3)))


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [torn, short, flipped, of_another, of_another_shape])
def test_a_damaged_entry_is_computed_again_and_replaced(
    cache: tuple[Path, list[torch.Tensor]], damage: Callable[[Path], None]
) -> None:
    matrix = torch.randn(6, 4)
    first = torch.linalg.svd(matrix, full_matrices=False)
    (path,) = cache[0].glob("*/*.safetensors")
    damage(path)
    del cache[1][:]
    again = torch.linalg.svd(matrix, full_matrices=False)
    torch.linalg.svd(matrix, full_matrices=False)
    assert sum(torch.equal(each, matrix) for each in cache[1]) == 1
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_what_cannot_be_read_or_written_is_no_fault_of_the_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    matrices = [torch.randn(6, 4) for _ in range(3)]
    blocked = SvdCache(tmp_path / "file" / "below", PLENTY)
    (tmp_path / "file").write_text("in the way")
    for matrix in matrices:
        u, s, vh = blocked.get_or_compute(matrix, thin)
        torch.testing.assert_close((u * s) @ vh, matrix)
    assert caplog.text.count("cannot be written") == 1

    damaged = SvdCache(tmp_path / "cache", PLENTY)
    damaged.get_or_compute(matrices[0], thin)
    a_directory(entry(damaged.directory, matrices[0]))
    damaged.get_or_compute(matrices[0], thin)
    assert "cannot be used" in caplog.text


def test_a_matrix_of_nan_is_not_served_from_the_cache(tmp_path: Path) -> None:
    """And one that cannot be decomposed fails as without a cache."""
    cache, bad = SvdCache(tmp_path, PLENTY), torch.full((4, 4), torch.nan)
    with pytest.raises(RuntimeError):
        cache.get_or_compute(bad, thin)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_least_recently_used_go_and_those_of_this_run_stay(tmp_path: Path) -> None:
    old, kept, new, newer = (torch.randn(32, 32) for _ in range(4))
    earlier = SvdCache(tmp_path, PLENTY)
    for matrix in (old, kept):
        earlier.get_or_compute(matrix, thin)
    one = size_of(entry(tmp_path, old))
    used_before(entry(tmp_path, old), 200)
    used_before(entry(tmp_path, kept), 300)

    cache = SvdCache(tmp_path, int(2.5 * one))
    cache.get_or_compute(kept, refuse)  # used: now `old` is the one to go
    cache.get_or_compute(new, thin)
    assert [entry(tmp_path, each).exists() for each in (old, kept, new)] == [False, True, True]

    cache.get_or_compute(newer, thin)  # there is room for two, and both are this run's
    assert [entry(tmp_path, each).exists() for each in (kept, new, newer)] == [True, True, False]
    assert size_of(*tmp_path.rglob("*.safetensors")) <= 2.5 * one


def test_a_quarter_of_the_disk_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svd_cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * 13_000))
    cache = SvdCache(tmp_path, PLENTY)
    for _ in range(3):
        cache.get_or_compute(torch.randn(32, 32), thin)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1  # of 8.5 kB each


def test_what_a_dead_process_was_writing_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in (("dead", 2 * ABANDONED_SECONDS), ("busy", 60)):
        path = tmp_path / "ab" / f"{WRITING}{name}"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        used_before(path, age)
    SvdCache(tmp_path, PLENTY).get_or_compute(torch.randn(6, 4), thin)
    assert [path.name for path in tmp_path.glob(f"ab/{WRITING}*")] == [f"{WRITING}busy"]


def test_runs_that_start_at_once_and_push_each_other_out(tmp_path: Path) -> None:
    """Each gets right factors for each matrix, though entries are removed while others read them."""
    matrices = [torch.randn(16, 16) for _ in range(12)]
    wrong: list[object] = []

    def work(order: list[torch.Tensor]) -> None:
        for matrix in order * 5:
            cache = SvdCache(tmp_path, 12_000, started=time.time() + 60)  # nothing counts as in use
            u, s, vh = cache.get_or_compute(matrix, thin)
            if not torch.allclose((u * s) @ vh, matrix, atol=1e-4):
                wrong.append(matrix)

    threads = [threading.Thread(target=work, args=(matrices[start:] + matrices[:start],)) for start in range(0, 12, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob(f"{WRITING}*"))


SHARE = " of the first rank's share"


@pytest.mark.parametrize(("rank", "ranks", "share"), [("0", "1", ""), ("0", "2", SHARE), ("1", "2", None)])
def test_the_first_rank_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[torch.Tensor], rank: str, ranks: str, share: str | None
) -> None:
    svd_cache.install(directory=None, limit=PLENTY)
    for name, value in ((LOG_DIR_ENV, str(tmp_path)), ("RANK", rank), ("WORLD_SIZE", ranks)):
        monkeypatch.setenv(name, value)
    said: list[str | None] = []

    def compute_distributed_svd(my_work: list[torch.Tensor]) -> None:
        for matrix in my_work:
            torch.linalg.svd(matrix, full_matrices=False)
            said.append(read_stage(tmp_path))

    torch.linalg.svd(torch.randn(6, 4), full_matrices=False)  # somebody else's
    assert read_stage(tmp_path) is None
    compute_distributed_svd([torch.randn(6, 4) for _ in range(3)])
    counted = [f"computing SVD {n} of 3{share}" for n in (1, 2)]
    assert said == ([*counted, "starting to train"] if share is not None else [None] * 3)
    assert len(computed) == 4  # no directory: nothing is kept


def test_where_it_is_and_how_large(tmp_path: Path) -> None:
    run = BackendRun("osft", tmp_path, tmp_path, tmp_path, {}, cache_dir=tmp_path / "cache")
    nowhere = BackendRun("osft", tmp_path, tmp_path, tmp_path, {})
    own = str(tmp_path / "cache" / "svd")
    assert arguments(run, {}) == {"directory": own, "limit": 50 * 2**30, "store": None}
    assert arguments(nowhere, {})["directory"] is None
    assert arguments(run, {SVD_CACHE_ENV: "off"})["directory"] is None
    named = arguments(nowhere, {SVD_CACHE_ENV: "/shared", SVD_CACHE_GIB_ENV: "0.5"})
    assert named == {"directory": "/shared", "limit": 2**29, "store": None}
    stored = arguments(run, {SVD_CACHE_ENV: "s3://shared/svd/"})
    assert (stored["directory"], stored["store"]) == (own, "s3://shared/svd")
    with pytest.raises(ConfigurationError, match="is not of the form"):
        arguments(run, {SVD_CACHE_ENV: "s3://"})
    for text in ("much", "0", "-1", "nan", "inf"):
        with pytest.raises(ConfigurationError) as caught:
            arguments(run, {SVD_CACHE_GIB_ENV: text})
        assert caught.value.field == SVD_CACHE_GIB_ENV
