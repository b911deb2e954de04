"""Whether a job fits on a GPU, and which maxTokensPerGpu does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from kubetune.estimate import activations
from kubetune.estimate.figures import total
from kubetune.estimate.memory import CUDA, FRAGMENTS, gathered, moments, states
from kubetune.estimate.plan import Assumptions, Plan
from kubetune.estimate.shape import ModelShape

ROUND = 256
"""Suggested tokens are a multiple of it."""


@dataclass(frozen=True)
class Fit:
    """The verdict for one size of GPU."""

    verdict: Literal["yes", "perhaps", "no"]
    why: str
    suggested: int | None
    """maxTokensPerGpu that fits by the cautious end of every range; None: none that holds the longest sample does."""

    at_most: int | None
    """The same by the hopeful end."""

    def to_dict(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "why": self.why, "suggestedMaxTokensPerGpu": self.suggested, "atMost": self.at_most}


def fit(shape: ModelShape, plan: Plan, assumed: Assumptions, memory: int) -> Fit:
    """`memory`: bytes of one GPU."""
    cautious, hopeful = tokens_that_fit(shape, plan, assumed, memory)
    useful = rounded_up(plan.tokens_of_a_step)
    suggested = cautious if cautious is None else min(cautious, useful)
    if suggested is not None and suggested < plan.max_seq_len:
        suggested = None
    at_most = None if hopeful is None or hopeful < plan.max_seq_len else min(hopeful, useful)
    if at_most is None:
        return Fit("no", too_small(shape, plan, assumed, memory), None, None)
    if cautious is not None and plan.max_tokens <= cautious:
        return Fit("yes", f"maxTokensPerGpu {plan.max_tokens} fits by the cautious end of every range", suggested, at_most)
    if hopeful is not None and plan.max_tokens <= hopeful:
        why = f"maxTokensPerGpu {plan.max_tokens} lies between the cautious and the hopeful end; try it, or take the suggestion"
        return Fit("perhaps", why, suggested, at_most)
    return Fit("no", f"maxTokensPerGpu {plan.max_tokens} is too much; lower it to the suggestion", suggested, at_most)


def tokens_that_fit(shape: ModelShape, plan: Plan, assumed: Assumptions, memory: int) -> tuple[int | None, int | None]:
    """(cautious, hopeful): None where not even the moments without tokens fit."""
    held = [*states(shape, plan, assumed.sharding), gathered(shape, plan)]
    low, high = activations.per_token(shape, plan)
    others = [total(name, parts) for name, parts in moments(shape, plan, 0, assumed.sharding).items() if name != "a mini-batch"]
    cautious = (memory - CUDA.high) / (1 + FRAGMENTS) - sum(each.high for each in held)
    hopeful = memory - CUDA.low - sum(each.low for each in held)
    return (
        whole(cautious / high) if max(each.high for each in others) <= memory else None,
        whole(hopeful / low) if max(each.low for each in others) <= memory else None,
    )


def whole(tokens: float) -> int | None:
    """Rounded down to a multiple of ROUND."""
    found = int(tokens // ROUND) * ROUND
    return found if found > 0 else None


def rounded_up(tokens: int) -> int:
    return -(-tokens // ROUND) * ROUND


def too_small(shape: ModelShape, plan: Plan, assumed: Assumptions, memory: int) -> str:
    """What to change, where even the hopeful end does not hold one sample of maxSeqLen."""
    held = total("", states(shape, plan, assumed.sharding)).low
    if held > memory:
        ranks = -(-held * plan.ranks // memory)
        return (
            f"parameters, gradients and moments alone take {held / 1e9:.1f} GB a GPU on {plan.ranks} ranks; "
            f"raise nodes x procsPerNode to {ranks + 1:.0f} or more"
        )
    more = f"raise nodes x procsPerNode (now {plan.ranks})"
    return f"not even one sample of maxSeqLen {plan.max_seq_len} fits; lower maxSeqLen, or {more}"
