"""OSFT's factors: each target matrix becomes U, S and V, of which the directions of the largest singular values are frozen.

Source: mini_trainer 0.9.0, osft_utils.py (auto_generate_target_osft_config, create_svd_dict, MODEL_CONFIGS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from kubetune.estimate.shape import ModelShape, Tensor

LLAMA_LIKE = tuple(
    [f"self_attn.{name}_proj" for name in ("q", "k", "v", "o")] + [f"mlp.{name}_proj" for name in ("gate", "down", "up")]
)
PATTERNS: dict[str, tuple[str, ...]] = {
    "qwen3_5": (*LLAMA_LIKE, "linear_attn.out_proj"),
    "phi3": ("self_attn.o_proj", "self_attn.qkv_proj", "mlp.gate_up_proj", "mlp.down_proj"),
    "gptj": ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.fc_in", "mlp.fc_out"),
    "gpt2": ("attn.c_proj", "attn.c_attn", "mlp.c_fc", "mlp.c_proj"),
    "opt": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "fc1", "fc2"),
}
"""The backend's choice by a part of the model's class name, in its order; LLAMA_LIKE for all others."""


@dataclass(frozen=True)
class Factored:
    """A model as OSFT holds it, in parameters (numbers, not bytes)."""

    targets: tuple[Tensor, ...]
    frozen: int
    """U, S and V of the directions that are kept."""

    trained_factors: int
    """U, S and V of the others."""

    trained_rank: int
    """Directions that are trained, of all targets together."""

    rest: int
    """Trained as they are: embeddings, head, norms, biases."""

    @property
    def trained(self) -> int:
        return self.trained_factors + self.rest

    @property
    def factors(self) -> int:
        return self.frozen + self.trained_factors

    @property
    def held(self) -> int:
        return self.factors + self.rest


def patterns_of(architecture: str) -> Sequence[str]:
    return next((patterns for part, patterns in PATTERNS.items() if part in architecture.lower()), LLAMA_LIKE)


def kept_rank(shape: tuple[int, ...], unfreeze_rank_ratio: float) -> int:
    """How many directions stay frozen. At a ratio of 1 the backend takes its default, 0.5: it takes 1 - 1 for not given."""
    share = 1.0 - unfreeze_rank_ratio or 0.5
    return min(floor(min(shape) * share), min(shape) - 1)


def factored(tensors: Sequence[Tensor], patterns: Sequence[str], unfreeze_rank_ratio: float) -> Factored:
    targets: list[Tensor] = []
    frozen = trained = rank = rest = 0
    for each in tensors:
        kept = kept_rank(each.shape, unfreeze_rank_ratio) if len(each.shape) == 2 and any(p in each.name for p in patterns) else 0
        if kept <= 0:
            rest += each.size
            continue
        targets.append(each)
        of_one = sum(each.shape) + 1  # a column of U, a row of V and one singular value
        frozen += kept * of_one
        trained += (min(each.shape) - kept) * of_one
        rank += min(each.shape) - kept
    return Factored(tuple(targets), frozen, trained, rank, rest)


def of_model(shape: ModelShape, patterns: Sequence[str] | None, unfreeze_rank_ratio: float) -> Factored:
    return factored(shape.tensors, patterns or patterns_of(shape.architecture), unfreeze_rank_ratio)


def svd_operations(matrix: Tensor) -> float:
    """Floating-point operations of U, S and V: 6mn² + 20n³ for m >= n.

    Golub and Van Loan, Matrix Computations, 4th edition, figure 8.6.1 (R-SVD with U1).
    """
    n, m = sorted(matrix.shape)
    return 6.0 * m * n**2 + 20.0 * n**3
