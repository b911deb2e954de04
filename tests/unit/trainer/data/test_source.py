"""Every kind of file that the backends read gives the same rows as their reader; the others are refused with a remedy."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from tiny import conversation

from kubetune_trainer.data import source
from kubetune_trainer.data.source import read_lines, read_rows
from kubetune_trainer.errors import DataError

ROWS = [{**conversation(i), "note": 'a [ ] { } \\ " \n \u00e9 \u2028 \U0001f600'} for i in range(30)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)

KINDS: list[tuple[str, str, bytes]] = [
    ("lines", "d.jsonl", LINES.encode()),
    ("no newline at the end", "d.jsonl", LINES.rstrip().encode()),
    ("gzip", "d.jsonl.gz", gzip.compress(LINES.encode())),
    ("array", "d.json", json.dumps(ROWS).encode()),
    ("array, indented", "d.json", json.dumps(ROWS, indent=2).encode()),
    ("array, gzip", "d.json.gz", gzip.compress(json.dumps(ROWS).encode())),
]


@pytest.mark.parametrize(("name", "content"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_rows_are_those_of_the_backends_reader(tmp_path: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch):
    import datasets

    monkeypatch.setattr(source, "PIECE", 64)  # rows go across pieces
    path = tmp_path / name
    path.write_bytes(content)
    theirs = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))

    assert [row for _, row in read_rows(path)] == list(theirs) == ROWS


def test_line_numbers(tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_text("\n[\n\n" + json.dumps(ROWS[0], indent=1) + ",\n" + json.dumps(ROWS[1]) + "\n,3]")
    lines = [number for number, _ in read_lines(path)]

    assert lines == [4, 4 + json.dumps(ROWS[0], indent=1).count("\n") + 1, lines[1] + 1]
    with pytest.raises(DataError, match=rf"line {lines[2]}: is a JSON int"):
        list(read_rows(path))


BAD: list[tuple[str, bytes, str]] = [
    ("parquet", b"PAR1....", "is Parquet, which the training libraries do not read; convert it to JSON Lines: pandas"),
    ("zstd", b"\x28\xb5\x2f\xfd..", "is Zstandard"),
    ("zip", b"PK\x03\x04..", "is a ZIP archive"),
    ("arrow", b"ARROW1..", "is Arrow"),
    ("torn gzip", gzip.compress(LINES.encode())[:-20], "is a torn gzip file"),
    ("damaged gzip", gzip.compress(LINES.encode())[:-8] + b"12345678", "is a torn gzip file"),
    ("array without end", b'[{"a": 1}', "line 1: is no JSON"),
    ("a torn element", b'[\n{"a": 1},\n{"a": tru}]', "line 3: is no JSON"),
    ("more after the array", b'[{"a": 1}]\n{"a": 2}', "there is more after it"),
    ("an array that is not UTF-8", b'[{"a": "\xff"}]', "not UTF-8"),
]


@pytest.mark.parametrize(("content", "says"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes, says: str):
    path = tmp_path / "d"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(read_rows(path))
    assert says in str(caught.value)


def test_parquet_is_not_read_by_the_backends_either(tmp_path: Path):
    import datasets
    import pandas as pd

    path = tmp_path / "d.parquet"
    pd.DataFrame(ROWS).to_parquet(path)

    with pytest.raises(datasets.exceptions.DatasetGenerationError):
        datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"is Parquet.*to_json"):
        list(read_rows(path))


def test_a_long_array_is_read_in_little_memory(tmp_path: Path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps([conversation(i) for i in range(40_000)]))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_lines(path)) == 40_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 8_000_000
    assert peak < 6_000_000  # a few pieces of 1 MiB


def test_a_bad_element_does_not_pull_the_rest_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "PIECE", 100)
    monkeypatch.setattr(source, "LONGEST_ROW", 1000)
    path = tmp_path / "d.json"
    path.write_text('[{"a": oops}, ' + json.dumps(ROWS)[1:])
    read: list[str] = []
    monkeypatch.setattr(source, "_more", lambda path, text, line, size: read.append(text.read(size)) or read[-1])

    with pytest.raises(DataError, match="line 1: is no JSON"):
        list(read_lines(path))
    assert sum(map(len, read)) < 3000 < path.stat().st_size
