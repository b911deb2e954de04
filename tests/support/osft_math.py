"""OSFT's mathematics as a measurement (arXiv:2504.07097): what training must leave alone in each target matrix.

For W0 = U S V^T, r = min(shape) and k = floor(r * (1 - unfreeze_rank_ratio)), at most r - 1, the k largest directions are
frozen: after training to W', U_k^T W' = S_k V_k^T and W' V_k = U_k S_k, and W' - W0 has at most rank r - k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Measured:
    name: str
    left: float  # ||U_k^T W' - S_k V_k^T|| / ||S_k||
    right: float  # ||W' V_k - U_k S_k|| / ||S_k||
    rank: int  # of W' - W0
    trained: int  # r - k
    moved: float  # ||W' - W0|| / ||W0||


def measure(base: Path, trained: Path, unfreeze_rank_ratio: float) -> list[Measured]:
    """One row for each matrix that OSFT decomposes in a llama or qwen2, from two Hugging Face directories."""
    import torch
    from safetensors.torch import load_file

    before, after = load_file(base / "model.safetensors"), load_file(trained / "model.safetensors")
    rows = []
    for name, raw in before.items():
        if not name.endswith(tuple(f"{target}.weight" for target in TARGETS)):
            continue
        old, new = raw.double(), after[name].double()
        full = min(old.shape)
        k = min(math.floor(full * (1 - unfreeze_rank_ratio)), full - 1)
        u, s, vh = torch.linalg.svd(old, full_matrices=False)
        u, s, vh, delta = u[:, :k], s[:k], vh[:k], new - old
        rows.append(
            Measured(
                name=name,
                left=float((u.T @ new - s[:, None] * vh).norm() / s.norm()),
                right=float((new @ vh.T - u * s).norm() / s.norm()),
                rank=int(torch.linalg.matrix_rank(delta, rtol=1e-3)),
                trained=full - k,
                moved=float(delta.norm() / old.norm()),
            )
        )
    return rows
