"""Tokenised data sets, each in a directory named by the hash of all that decides its bytes; nodes and jobs may share it.

An entry is published by one rename and holds its own hash, so that it is right or not there. The lock only saves work: where
the file system has none, or its holder takes too long, a second process tokenises as well and the first to finish is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from kubetune_trainer.data.preflight import trust_remote_code
from kubetune_trainer.data.report import DataReport

log = logging.getLogger(__name__)

LAYOUT = 1
"""Of an entry. Raised whenever equal inputs give other bytes."""

FILE, MANIFEST, WRITING = "data.jsonl", "manifest.json", ".writing-"
ABANDONED_SECONDS = 24 * 3600
"""What a process that died was writing goes after a day without a change."""

LOCK_PATIENCE_SECONDS = 3600.0
"""So long another process may tokenise the same; afterwards we do it as well."""

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".md")
"""Files beside a tokenizer that decide nothing about tokens."""

LIBRARIES = ("instructlab-training", "transformers", "tokenizers")


def key_of(*, model_dir: Path, **more: Any) -> str:
    """SHA-256 of all that decides the samples: `more` (the rows' hash, format, masking, length), the tokenizer with its chat
    template and the model's configuration, and the versions of the libraries that tokenise.
    """
    libraries = {name: version(name) for name in LIBRARIES}
    parts = {
        **more,
        "tokenizer": _tokenizer_files(model_dir),
        "libraries": libraries,
        "code": trust_remote_code(),
        "layout": LAYOUT,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tokenizer_files(model_dir: Path) -> dict[str, str]:
    """Every file of the model that is no weight, with its hash: remote code and further chat templates among them."""
    found = [*model_dir.iterdir(), *(model_dir / "additional_chat_templates").glob("*")]
    files = (path for path in found if path.is_file() and path.suffix not in WEIGHTS and not path.name.startswith("kubetune-"))
    return {str(path.relative_to(model_dir)): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class DataCache:
    """`limit`: bytes above which the least recently used entries go."""

    directory: Path
    limit: int
    patience: float = LOCK_PATIENCE_SECONDS

    def get_or_make(self, key: str, target: Path, make: Callable[[Path], DataReport]) -> DataReport:
        """The data of `key` at `target` (a hard link where that can be, else a copy); `make` writes them where there are none.

        Raises:
            whatever `make` raises: nothing is kept then. A cache that cannot be written is passed by with a warning.

        """
        if not self._usable():
            return make(target)
        if found := self._take(key, target):
            return found
        with self._lock(key):
            if found := self._take(key, target):  # whoever had the lock made it
                return found
            report = self._publish(key, target, make)
        self._evict(key)
        return report

    def _usable(self) -> bool:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.directory, prefix=WRITING):
                return True
        except OSError as error:
            log.warning("tokenised data are not kept: %s cannot be written (%s)", self.directory, error.strerror)
            return False

    def _take(self, key: str, target: Path) -> DataReport | None:
        """None: not there, gone meanwhile, or damaged (and then removed)."""
        entry = self.directory / key
        try:
            manifest = json.loads((entry / MANIFEST).read_text())
            _place(entry / FILE, target)
            if _digest(target) == manifest["sha256"]:
                with contextlib.suppress(OSError):  # the time of last use; another user's file may not be touched
                    os.utime(entry / MANIFEST)
                return replace(DataReport.from_dict(manifest["report"]), file=target, reused=True)
            problem = "its data are not those that were written"
        except FileNotFoundError:
            if not entry.exists():
                return None
            problem = "it is not whole"
        except PermissionError as error:
            log.warning("tokenised data in %s cannot be used: %s", entry, error)
            return None
        except (ValueError, KeyError, TypeError) as error:
            problem = f"its manifest cannot be read ({error})"
        log.warning("tokenised data in %s are damaged and made again: %s", entry, problem)
        target.unlink(missing_ok=True)
        self._remove(entry)
        return None

    def _publish(self, key: str, target: Path, make: Callable[[Path], DataReport]) -> DataReport:
        scratch = Path(tempfile.mkdtemp(dir=self.directory, prefix=WRITING))
        try:
            report = make(scratch / FILE)
            manifest = {"sha256": _digest(scratch / FILE), "report": report.to_dict()}
            (scratch / MANIFEST).write_text(json.dumps(manifest))
            _place(scratch / FILE, target)
            scratch.chmod(0o755)  # mkdtemp's are for one user alone
            with contextlib.suppress(OSError):  # as a rule another process published it first; `target` is there in any case
                scratch.rename(self.directory / key)
            return report
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextlib.contextmanager
    def _lock(self, key: str) -> Iterator[None]:
        lock = FileLock(self.directory / f".{key}.lock", timeout=self.patience)
        try:
            lock.acquire()
        except Timeout:
            log.warning("another process has been tokenising the same data for %.0f s: this one does it as well", self.patience)
        except (OSError, NotImplementedError) as error:
            log.info("%s has no locks (%s): jobs that start at once each tokenise", self.directory, error)
        try:
            yield
        finally:
            lock.release()

    def _evict(self, newest: str) -> None:
        """The least recently used entries go until the rest fits; the newest stays unless it alone is too large."""
        now, kept, size = time.time(), [], 0
        for path in self.directory.iterdir():
            if path.name.startswith(WRITING):
                if now - max((part.stat().st_mtime for part in (path, *path.glob("*"))), default=now) > ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith("."):
                kept.append((path.name == newest, _used(path), _size(path), path))
        for _, _, bytes_, path in sorted(kept, reverse=True):
            size += bytes_
            if size > self.limit:
                log.info("tokenised data: %s goes, the cache is limited to %d bytes", path, self.limit)
                self._remove(path)

    def _remove(self, entry: Path) -> None:
        """Out of sight by one rename first: a reader finds it whole or not at all."""
        aside = Path(tempfile.mkdtemp(dir=self.directory, prefix=WRITING))
        with contextlib.suppress(OSError):  # another process removes it as well
            entry.rename(aside / entry.name)
        shutil.rmtree(aside, ignore_errors=True)


def _used(entry: Path) -> float:
    try:
        return (entry / MANIFEST).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(entry: Path) -> int:
    try:
        return (entry / FILE).stat().st_size
    except FileNotFoundError:
        return 0


def _place(file: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(file, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(file, target)
