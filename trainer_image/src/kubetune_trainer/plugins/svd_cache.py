"""Keeps each matrix's singular value decomposition on disk, so that a resume or a second OSFT job does not compute it again.

mini-trainer always takes the full thin SVD and splits it afterwards, so that one entry serves every unfreeze_rank_ratio and
every choice of target_patterns. The key is the matrix's content: another model never hits. The directory may be shared by
ranks and by jobs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

PRIVATE_NAMES = ("mini_trainer.osft_utils:create_svd_dict", "torch.linalg:svd")
FACTORS = ("U", "S", "Vh")

log = logging.getLogger(__name__)


def install(*, directory: str) -> None:
    """Replaces torch.linalg.svd for thin decompositions of plain matrices; all others are computed as ever."""
    import torch

    compute, folder = torch.linalg.svd, Path(directory)

    def svd(matrix: Any, full_matrices: bool = True, **more: Any) -> Any:
        if full_matrices or matrix.ndim != 2 or more:
            return compute(matrix, full_matrices=full_matrices, **more)
        path = entry(folder, matrix)
        stored = load(path, matrix.device)
        if stored is None:
            stored = tuple(compute(matrix, full_matrices=False))
            store(path, stored)
        return stored

    torch.linalg.svd = svd


def entry(folder: Path, matrix: Any) -> Path:
    """The file of this content, shape, type and kind of device."""
    import torch

    raw = matrix.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    head = repr((tuple(matrix.shape), str(matrix.dtype), matrix.device.type)).encode()
    key = hashlib.sha256(head + raw.tobytes()).hexdigest()
    return folder / key[:2] / f"{key}.safetensors"


def load(path: Path, device: Any) -> tuple[Any, ...] | None:
    """None where there is no entry, or one that cannot be read: a damaged cache must not fail every retry."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        return None
    try:
        stored = load_file(path)
    except SafetensorError as error:
        log.warning("SVD cache: %s cannot be read (%s) and is computed again", path, error)
        return None
    return tuple(stored[name].to(device) for name in FACTORS)


def store(path: Path, factors: tuple[Any, ...]) -> None:
    """Written aside and renamed: several ranks and jobs may write the same entry."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(dir=path.parent)
    os.close(handle)
    save_file({name: value.contiguous().cpu() for name, value in zip(FACTORS, factors, strict=True)}, scratch)
    Path(scratch).replace(path)
