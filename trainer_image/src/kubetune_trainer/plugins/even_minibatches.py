"""Gives every rank as many minibatches as the others where instructlab-training pads (no flash attention).

Without it a step whose samples pack into counts that differ by rank hangs for ever: one rank waits in all_gather, another
in all_reduce. Seen with 16 samples of 43 tokens, max_batch_len 260, two ranks.
"""

from __future__ import annotations

from typing import Any

PRIVATE_NAMES = ("instructlab.training.sampler:batch_lengths_to_minibatches_padded",)
EMPTY = [-1]  # the backend's own empty sample


def install() -> None:
    from instructlab.training import sampler

    pack = sampler.batch_lengths_to_minibatches_padded

    def even(lengths: list[int], max_tokens: int, ranks: int, rank: int, *more: Any) -> list[list[int]]:
        parts: list[list[list[int]]] = [pack(lengths, max_tokens, ranks, r, *more) for r in range(ranks)]
        longest = max(len(part) for part in parts)
        return parts[rank] + [EMPTY] * (longest - len(parts[rank]))

    sampler.batch_lengths_to_minibatches_padded = even
