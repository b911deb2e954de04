"""Tokenised data are made once, whoever comes and when, and never read damaged."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kubetune_trainer.data import cache as module
from kubetune_trainer.data.cache import FILE, MANIFEST, WRITING, DataCache, key_of
from kubetune_trainer.data.report import DataReport
from kubetune_trainer.errors import DataError

REPORT = DataReport(Path("x"), 1, 1, 0, 0, 30, 20, 30, remarks=("odd",))


def writes(text: str = "data", made: list[Path] | None = None) -> Callable[[Path], DataReport]:
    def make(file: Path) -> DataReport:
        if made is not None:
            made.append(file)
        file.write_text(text)
        return replace(REPORT, file=file)

    return make


def refuses(file: Path) -> DataReport:
    raise AssertionError("it is in the cache")


@pytest.fixture
def cache(tmp_path: Path) -> DataCache:
    return DataCache(tmp_path / "cache", limit=10**9)


def entries(cache: DataCache) -> set[str]:
    return {path.name for path in cache.directory.iterdir() if not path.name.startswith(".")}


def test_made_once(cache: DataCache, tmp_path: Path):
    first = cache.get_or_make("k", tmp_path / "a", writes())
    second = cache.get_or_make("k", tmp_path / "b", refuses)

    assert (first.reused, second.reused) == (False, True)
    assert replace(second, file=REPORT.file, reused=False) == REPORT
    assert second.file == tmp_path / "b"
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text() == "data"
    assert (tmp_path / "a").stat().st_ino == (tmp_path / "b").stat().st_ino  # no second copy on the disk
    assert not list(cache.directory.glob(f"{WRITING}*"))


def test_data_stay_where_they_are_used_when_the_cache_goes(cache: DataCache, tmp_path: Path):
    cache.get_or_make("k", tmp_path / "a", writes())
    shutil.rmtree(cache.directory)

    assert (tmp_path / "a").read_text() == "data"


def test_copied_where_there_are_no_hard_links(cache: DataCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def denied(*paths: Path) -> None:
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(module.os, "link", denied)
    cache.get_or_make("k", tmp_path / "a", writes())

    assert cache.get_or_make("k", tmp_path / "b", refuses).reused
    assert (tmp_path / "b").read_text() == "data"


def change(name: str, content: str) -> Callable[[Path], Any]:
    return lambda entry: (entry / name).write_text(content)


DAMAGE: list[tuple[str, Callable[[Path], Any]]] = [
    ("other data", change(FILE, "dota")),
    ("torn data", change(FILE, "dat")),
    ("no data", lambda entry: (entry / FILE).unlink()),
    ("torn manifest", change(MANIFEST, '{"sha')),
    ("a manifest of another shape", change(MANIFEST, "[]")),
    ("a manifest without a report", change(MANIFEST, '{"sha256": "x"}')),
    ("no manifest", lambda entry: (entry / MANIFEST).unlink()),
]


@pytest.mark.parametrize("damage", [case[1] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_damaged_entries_are_made_again(cache: DataCache, tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture):
    cache.get_or_make("k", tmp_path / "a", writes())
    (tmp_path / "a").unlink()
    damage(cache.directory / "k")
    again = cache.get_or_make("k", tmp_path / "b", writes("new"))

    assert not again.reused
    assert "damaged and made again" in caplog.text
    assert cache.get_or_make("k", tmp_path / "c", refuses).reused
    assert (tmp_path / "b").read_text() == (tmp_path / "c").read_text() == "new"


def test_a_failure_keeps_nothing(cache: DataCache, tmp_path: Path):
    def fails(file: Path) -> DataReport:
        file.write_text("half")
        raise DataError("data_path", "x", "is bad", "mend it")

    with pytest.raises(DataError):
        cache.get_or_make("k", tmp_path / "a", fails)
    assert entries(cache) == set()
    assert not list(cache.directory.glob(f"{WRITING}*"))
    assert cache.get_or_make("k", tmp_path / "a", writes()).reused is False  # and the lock is free


def arrive(cache: DataCache, target: Path, made: Path, start: Any) -> None:
    def make(file: Path) -> DataReport:
        with made.open("a") as log:
            log.write(f"{os.getpid()}\n")
        time.sleep(0.2)  # the others arrive meanwhile; without the lock each would be in here
        return writes()(file)

    start.wait()
    cache.get_or_make("k", target, make)


def test_processes_that_arrive_at_once(cache: DataCache, tmp_path: Path):
    context = multiprocessing.get_context("fork")
    start, made = context.Barrier(4), tmp_path / "made"
    everyone = [context.Process(target=arrive, args=(cache, tmp_path / str(i), made, start)) for i in range(4)]
    for process in everyone:
        process.start()
    for process in everyone:
        process.join()

    assert [process.exitcode for process in everyone] == [0] * 4
    assert len(made.read_text().splitlines()) == 1
    assert {(tmp_path / str(i)).read_text() for i in range(4)} == {"data"}


def test_without_locks_the_first_to_finish_is_kept(cache: DataCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unsupported(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(module.FileLock, "acquire", unsupported)

    def late(file: Path) -> DataReport:
        cache.get_or_make("k", tmp_path / "early", writes("early"))
        return writes("late")(file)

    cache.get_or_make("k", tmp_path / "late", late)
    assert (tmp_path / "late").read_text() == "late"
    assert cache.get_or_make("k", tmp_path / "c", refuses).reused
    assert (tmp_path / "c").read_text() == "early"


def test_a_holder_that_takes_too_long_is_not_waited_for(cache: DataCache, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    holding, release = threading.Event(), threading.Event()

    def slow(file: Path) -> DataReport:
        holding.set()
        release.wait()
        return writes("slow")(file)

    holder = threading.Thread(target=cache.get_or_make, args=("k", tmp_path / "a", slow))
    holder.start()
    holding.wait()
    try:
        replace(cache, patience=0.01).get_or_make("k", tmp_path / "b", writes("quick"))
    finally:
        release.set()
        holder.join()

    assert (tmp_path / "b").read_text() == "quick"
    assert "this one does it as well" in caplog.text
    assert (tmp_path / "a").read_text() == "slow"


def test_the_size_is_bounded_and_the_least_recently_used_goes(cache: DataCache, tmp_path: Path):
    small = replace(cache, limit=250)
    for age, key in enumerate(["a", "b", "c"]):
        small.get_or_make(key, tmp_path / key, writes(key * 100))
        for other in entries(cache):
            manifest = cache.directory / other / MANIFEST
            os.utime(manifest, (age, age)) if other == key else None
        if key == "b":
            small.get_or_make("a", tmp_path / "again", refuses)  # used again: b is now the older one

    assert entries(cache) == {"a", "c"}
    assert (tmp_path / "b").read_text() == "b" * 100
    small.get_or_make("d", tmp_path / "d", writes("d" * 300))  # larger than the whole
    assert entries(cache) == set()
    assert (tmp_path / "d").read_text() == "d" * 300


def test_what_a_dead_process_left_goes_after_a_day(cache: DataCache, tmp_path: Path):
    cache.directory.mkdir()
    old, fresh = cache.directory / f"{WRITING}old", cache.directory / f"{WRITING}fresh"
    for path in (old, fresh):
        path.mkdir()
        (path / FILE).write_text("half")
    for path in (old / FILE, old, fresh):  # the fresh one's file is still written
        os.utime(path, (0, 0))
    cache.get_or_make("k", tmp_path / "a", writes())

    assert not old.exists()
    assert fresh.exists()


def test_a_cache_that_cannot_be_written_is_passed_by(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("in the way")
    cache = DataCache(tmp_path / "file", 1)

    assert not cache.get_or_make("k", tmp_path / "a", writes()).reused
    assert "tokenised data are not kept" in caplog.text
    assert (tmp_path / "a").read_text() == "data"


def test_entries_can_be_read_by_others(cache: DataCache, tmp_path: Path):
    cache.get_or_make("k", tmp_path / "a", writes())
    assert (cache.directory / "k").stat().st_mode & 0o055 == 0o055


KEY = {"rows": "r", "data_format": "messages", "unmask": False, "max_seq_len": 10}

CHANGES: list[tuple[str, Callable[[Path], Any], dict[str, Any]]] = [
    ("tokenizer", lambda m: (m / "tokenizer.json").write_text("{}"), {}),
    ("template", lambda m: (m / "chat_template.jinja").write_text("{}"), {}),
    ("configuration", lambda m: (m / "config.json").write_text("{}"), {}),
    (
        "another template",
        lambda m: [(m / "additional_chat_templates").mkdir(), (m / "additional_chat_templates" / "a").touch()],
        {},
    ),
    ("rows", lambda m: None, {"rows": "s"}),
    ("length", lambda m: None, {"max_seq_len": 11}),
    ("masking", lambda m: None, {"unmask": True}),
    ("format", lambda m: None, {"data_format": "pretraining"}),
]


@pytest.mark.parametrize(("change", "more"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_whatever_decides_the_tokens_decides_the_key(tiny_model: Path, tmp_path: Path, change: Any, more: dict[str, Any]):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    before = key_of(model_dir=model, **KEY)
    change(model)

    assert key_of(model_dir=model, **{**KEY, **more}) != before


def test_the_key_is_of_the_libraries(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    before = key_of(model_dir=tiny_model, **KEY)
    monkeypatch.setattr(module, "version", lambda name: "0")
    assert key_of(model_dir=tiny_model, **KEY) != before


def test_the_key_is_not_of_the_place_the_weights_or_the_time(tiny_model: Path, tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    (model / "model.safetensors").write_text("others")
    (model / "README.md").write_text("read me")
    (model / "kubetune-manifest.json").write_text(json.dumps({"time": time.time()}))

    assert key_of(model_dir=model, **KEY) == key_of(model_dir=tiny_model, **KEY)
