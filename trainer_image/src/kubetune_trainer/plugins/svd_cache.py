"""Keeps each matrix's singular value decomposition on disk, so that a resume or a second OSFT job does not compute it again.

mini-trainer always takes the full thin SVD and splits it afterwards, so that one entry serves every unfreeze_rank_ratio and
every choice of target_patterns. The key is the matrix's content: another model never hits. The directory may be shared by
ranks and by jobs, and an object store may be behind it (svd_store). Whatever is wrong with it costs time, never a run.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubetune_trainer.launch.command import LOG_DIR_ENV
from kubetune_trainer.launch.evidence import write_stage

if TYPE_CHECKING:
    from kubetune_trainer.plugins.svd_store import SvdStore

PRIVATE_NAMES = ("mini_trainer.osft_utils:create_svd_dict", "torch.linalg:svd")
FACTORS = ("U", "S", "Vh")
SUFFIX, WRITING = ".safetensors", ".writing-"
ABANDONED_SECONDS = 24 * 3600
"""What a process that died was writing goes after a day."""

SHARE_OF_DISK = 4
"""The cache takes at most this part (one fourth) of what is free: checkpoints are written to the same volume as a rule."""

TOLERANCE = 1e-4
"""Relative, of a decomposition in single precision (about 1e-6 off), tried on one vector."""

log = logging.getLogger(__name__)


def install(*, directory: str | None, limit: int, store: str | None = None) -> None:
    """Replaces torch.linalg.svd for thin decompositions of plain matrices; all others are computed as ever.

    Args:
        directory: made if it is new. None: nothing is kept.
        limit: bytes above which the least recently used entries go.
        store: s3://bucket/key, which is asked for what the directory does not have.

    """
    import torch

    compute, count = torch.linalg.svd, Count()
    cache = SvdCache(Path(directory), limit, store_at(store)) if directory else None

    def svd(matrix: Any, full_matrices: bool = True, **more: Any) -> Any:
        if full_matrices or matrix.ndim != 2 or more:
            return compute(matrix, full_matrices=full_matrices, **more)

        def thin(matrix: Any) -> tuple[Any, ...]:
            return tuple(compute(matrix, full_matrices=False))

        factors = cache.get_or_compute(matrix, thin) if cache else thin(matrix)
        count.one_more()
        return factors

    torch.linalg.svd = svd


def store_at(uri: str | None) -> SvdStore | None:
    if uri is None:
        return None
    from kubetune_trainer.plugins.svd_store import SvdStore

    return SvdStore.at(uri)


def entry(folder: Path, matrix: Any) -> Path:
    """The file of this content, shape, type and kind of device."""
    import torch

    raw = matrix.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    digest = hashlib.sha256(repr((tuple(matrix.shape), str(matrix.dtype), matrix.device.type)).encode())
    digest.update(raw)
    key = digest.hexdigest()
    return folder / key[:2] / f"{key}{SUFFIX}"


@dataclass
class SvdCache:
    """Entries are written aside and renamed, so that each is whole or not there, whoever else writes, reads or removes it.

    What was used since this process started stays, lest a model larger than the limit push out its own entries one by one: then
    nothing more is stored. A reader keeps what it has opened, also when it is removed meanwhile.
    """

    directory: Path
    limit: int
    shared: SvdStore | None = None
    started: float = field(default_factory=time.time)
    _size: int | None = None  # of all entries, as far as this process knows
    _unusable: bool = False

    def get_or_compute(self, matrix: Any, compute: Callable[[Any], tuple[Any, ...]]) -> tuple[Any, ...]:
        """The matrix's U, S and Vh."""
        path = entry(self.directory, matrix)
        factors = self.load(path, matrix) or self.fetch(path, matrix)
        if factors is None:
            factors = compute(matrix)
            self.store(path, factors)
            self.share(path, factors)
        return factors

    def load(self, path: Path, matrix: Any) -> tuple[Any, ...] | None:
        """None where there is no entry, or one that is not this matrix's: that is removed, to be computed again."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            factors = believed(load_file(path), matrix)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError, UnbelievableError) as error:
            log.warning("SVD cache: %s cannot be used (%s) and is computed again", path, error)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # another user's file may not be touched
            note_use(path)
        return factors

    def fetch(self, path: Path, matrix: Any) -> tuple[Any, ...] | None:
        """What the store has of it, which is then kept here too. A damaged entry is replaced by what is computed."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        content = self.shared.get(self._name(path)) if self.shared else None
        if content is None:
            return None
        try:
            factors = believed(load(content), matrix)
        except (SafetensorError, KeyError, UnbelievableError) as error:
            log.warning("SVD cache: the store's %s cannot be used (%s) and is computed again", self._name(path), error)
            return None
        self.store(path, factors)
        return factors

    def share(self, path: Path, factors: tuple[Any, ...]) -> None:
        from safetensors.torch import save

        if self.shared:
            self.shared.put(self._name(path), save(named(factors)))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()

    def store(self, path: Path, factors: tuple[Any, ...]) -> None:
        """Keeps it where there is room; a disk that cannot be written is told once and left alone."""
        from safetensors import SafetensorError

        if self._unusable:
            return
        try:
            if self._makes_room(sum(value.nbytes for value in factors)):
                write(path, factors)
        except (OSError, SafetensorError) as error:
            self._unusable = True
            log.warning("SVD cache: %s cannot be written (%s); decompositions are not kept", self.directory, error)

    def _makes_room(self, size: int) -> bool:
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._size is None or self._size + size > self._budget():
            self._size = self._evict(size)
        if self._size + size > self._budget():
            return False
        self._size += size
        return True

    def _budget(self) -> int:
        return min(self.limit, ((self._size or 0) + shutil.disk_usage(self.directory).free) // SHARE_OF_DISK)

    def _evict(self, needed: int) -> int:
        """The least recently used go until `needed` bytes have room; returns the size of what stays."""
        entries = sorted(used(path) for path in self.directory.glob(f"??/*{SUFFIX}"))
        self._size = size = sum(bytes_ for _, bytes_, _ in entries)
        budget = self._budget()
        for last_use, bytes_, path in entries:
            if size + needed <= budget or last_use >= self.started:
                break
            path.unlink(missing_ok=True)
            size -= bytes_
        for abandoned in self.directory.glob(f"??/{WRITING}*"):
            if time.time() - used(abandoned)[0] > ABANDONED_SECONDS:
                abandoned.unlink(missing_ok=True)
        return size


def note_use(path: Path) -> None:
    """By the clock of `started`: the kernel's own stamps are milliseconds behind it."""
    now = time.time()
    os.utime(path, (now, now))


def used(path: Path) -> tuple[float, int, Path]:
    """(time of last use, bytes, path); another process may remove it meanwhile."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return time.time(), 0, path
    return stat.st_mtime, stat.st_size, path


class UnbelievableError(Exception):
    """An entry that can be read, and is not what it should be."""


def believed(stored: dict[str, Any], matrix: Any) -> tuple[Any, ...]:
    """The factors of an entry.

    Raises:
        KeyError: one is missing.
        UnbelievableError: they are another matrix's.

    """
    factors = tuple(stored[name].to(matrix.device) for name in FACTORS)
    if not decomposes(matrix, factors):
        raise UnbelievableError("its factors do not make the matrix")
    return factors


def named(factors: tuple[Any, ...]) -> dict[str, Any]:
    return {name: value.contiguous().cpu() for name, value in zip(FACTORS, factors, strict=True)}


def decomposes(matrix: Any, factors: tuple[Any, ...]) -> bool:
    """Whether W x = U S Vh x and U^T W x = S Vh x for one vector: a damaged file fails one of the two."""
    import torch

    u, s, vh = factors
    rows, columns = matrix.shape
    rank = min(rows, columns)
    if (u.shape, s.shape, vh.shape) != ((rows, rank), (rank,), (rank, columns)) or u.dtype != matrix.dtype:
        return False
    vector = torch.arange(1, columns + 1, device=matrix.device, dtype=matrix.dtype).cos()
    image, inner = product(matrix, vector), s * product(vh, vector)
    worst = torch.stack([(image - product(u, inner)).norm(), (product(u.T, image) - inner).norm()]).max()
    return bool(worst <= TOLERANCE * matrix.norm() * vector.norm())  # not with NaN


def product(matrix: Any, vector: Any) -> Any:
    """Matrix times vector, in full precision: a GPU's matrix product may round to ten bits (TF32)."""
    return (matrix * vector).sum(-1)


def write(path: Path, factors: tuple[Any, ...]) -> None:
    """Raises OSError or SafetensorError; leaves nothing then."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch_name = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
    os.close(handle)
    scratch = Path(scratch_name)
    try:
        save_file(named(factors), scratch)
        scratch.chmod(0o644)  # mkstemp's is for one user alone
        note_use(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


@dataclass
class Count:
    """How far this rank is, for the job's status: the first rank says it."""

    done: int = 0

    def one_more(self) -> None:
        work = rank_work()
        self.done += bool(work)
        if work and os.environ.get("RANK") == "0":
            of = "" if os.environ.get("WORLD_SIZE") == "1" else " of the first rank's share"
            log_dir = Path(os.environ[LOG_DIR_ENV])
            write_stage(log_dir, f"computing SVD {self.done} of {work}{of}" if self.done < work else "starting to train")


def rank_work() -> int | None:
    """How many matrices this rank decomposes: a local variable of the backend's compute_distributed_svd. None elsewhere."""
    frame = sys._getframe()  # noqa: SLF001 - the documented way to a caller's local variables
    caller = frame.f_back
    while caller is not None and caller.f_code.co_name != "compute_distributed_svd":
        caller = caller.f_back
    work = caller.f_locals.get("my_work") if caller else None
    return len(work) if work is not None else None
