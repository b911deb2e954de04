"""The user's file, a row at a time: one pass, memory bounded by the longest row."""

from __future__ import annotations

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from kubetune_trainer.data.problems import FIELD, refuse
from kubetune_trainer.errors import DataError

GZIP = b"\x1f\x8b"
UNREADABLE = {
    b"PAR1": ("Parquet", "pandas.read_parquet(path).to_json('train.jsonl', orient='records', lines=True)"),
    b"ARROW1": ("Arrow", "datasets.Dataset.from_file(path).to_json('train.jsonl')"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zstd -d"),
    b"PK\x03\x04": ("a ZIP archive", "unzip"),
}
"""What neither backend reads (their only reader is datasets' `json`), by its first bytes, with what makes JSON Lines of it."""

PIECE = 2**20
LONGEST_ROW = 2**28
"""Characters. An element of a JSON array that does not end within is taken for bad JSON: the rest is not read into memory."""

BETWEEN = re.compile(r"[\s,]*")


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Line number (1-based) and JSON text of each row of a JSON Lines file or of a JSON array, gzipped or not; blank lines are
    passed over.

    Raises:
        DataError: missing, no file, not readable, or of a kind that the backends do not read.

    """
    try:
        if not path.exists():
            refuse(path, None, "does not exist", "check the path, and that its volume is mounted")
        if not path.is_file():
            refuse(path, None, "is not a file", "name one JSON Lines file")
        with path.open("rb") as file:
            yield from _rows(path, _unpacked(path, file))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(FIELD, str(path), f"is a torn gzip file ({error})", "copy it again") from error
    except OSError as error:
        raise DataError(FIELD, str(path), f"cannot be read ({error.strerror})", "check the volume and its permissions") from error


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its line number.

    Raises:
        DataError: as read_lines and parse.

    """
    for number, raw in read_lines(path):
        yield number, parse(path, number, raw)


def parse(path: Path, number: int, raw: bytes) -> dict[str, Any]:
    """The row.

    Raises:
        DataError: not UTF-8, not JSON, or not an object.

    """
    try:
        row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        refuse(path, number, f"is not UTF-8 ({error.reason} at byte {error.start})", "save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        refuse(path, number, f"is no JSON ({error})", "write one JSON object a line (JSON Lines)")
    if not isinstance(row, dict):
        refuse(path, number, f"is a JSON {type(row).__name__}, not an object", 'write {"messages": [...]} on each line')
    return row


def _unpacked(path: Path, file: io.BufferedReader) -> BinaryIO:
    head = file.peek(16)
    for magic, (kind, tool) in UNREADABLE.items():
        if head.startswith(magic):
            refuse(path, None, f"is {kind}, which the training libraries do not read", f"convert it to JSON Lines: {tool}")
    return cast("BinaryIO", gzip.GzipFile(fileobj=file)) if head.startswith(GZIP) else file


def _rows(path: Path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    if buffered.peek(PIECE).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        yield from _elements(path, io.TextIOWrapper(buffered, encoding="utf-8-sig", newline=""))
        return
    for number, raw in enumerate(buffered, start=1):
        if raw.strip():
            yield number, raw


def _elements(path: Path, text: TextIO) -> Iterator[tuple[int, bytes]]:
    """The elements of a JSON array, a piece of the file at a time; numbered by the line on which each begins."""
    decoder, buffer, line = json.JSONDecoder(), _more(path, text, 1, PIECE), 1
    position = buffer.index("[") + 1
    line += buffer.count("\n", 0, position)
    while True:
        start = _matched(buffer, position)
        line += buffer.count("\n", position, start)
        if buffer.startswith("]", start):
            _refuse_more(path, text, line, buffer[start + 1 :])
            return
        try:
            end = decoder.raw_decode(buffer, start)[1]
        except (ValueError, RecursionError) as error:
            buffer, position = buffer[start:], 0
            more = "" if len(buffer) > LONGEST_ROW else _more(path, text, line, max(PIECE, len(buffer)))
            if not more:
                refuse(path, line, f"is no JSON ({error})", "end the array with ], or write one JSON object a line (JSON Lines)")
            buffer += more
            continue
        yield line, buffer[start:end].encode()
        line += buffer.count("\n", start, end)
        position = end


def _matched(buffer: str, position: int) -> int:
    found = BETWEEN.match(buffer, position)
    return found.end() if found else position


def _more(path: Path, text: TextIO, line: int, size: int) -> str:
    try:
        return text.read(size)
    except UnicodeDecodeError as error:
        refuse(path, line, f"is followed by what is not UTF-8 ({error.reason})", "save the file as UTF-8")


def _refuse_more(path: Path, text: TextIO, line: int, rest: str) -> None:
    if (rest + _more(path, text, line, PIECE)).strip():
        refuse(path, line, "ends the array, and there is more after it", "write one array, or one JSON object a line (JSON Lines)")
