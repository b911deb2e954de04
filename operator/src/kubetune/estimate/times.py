"""Seconds: OSFT's decompositions, a full state, and whether the grace period suffices for one."""

from __future__ import annotations

from math import ceil

from kubetune.estimate.figures import Basis, Figure
from kubetune.estimate.osft import svd_operations
from kubetune.estimate.plan import Assumptions, Plan
from kubetune.estimate.shape import ModelShape
from kubetune.estimate.storage import state_bytes

GB = 10**9
VERIFY_SPEED = (0.27 * GB, 1.6 * GB)
"""1.6 GB took 3.8 to 6.0 s on a busy machine, fsync and all; SHA-256 alone runs at 1.6 GB/s (docs/checkpoints.md)."""

SVD_SPEED = {"cpu": (11 * GB, 46 * GB), "gpu": (200 * GB, 2000 * GB)}
"""Operations a second of one rank. cpu: SmolLM2's 210 matrices (0.93e12) in 84 s on two busy cores, 20 s in a quieter spell."""

LAST_WORDS = 5
"""Seconds that the trainer keeps of the grace period to end (kubetune_trainer.preemption)."""


def times(shape: ModelShape, plan: Plan, assumed: Assumptions) -> list[Figure]:
    return [*svd(plan), save(shape, plan, assumed), verify(shape, plan)]


def svd(plan: Plan) -> list[Figure]:
    """The last rank has what does not divide; from the cache it is read instead."""
    if plan.factored is None or not plan.factored.targets:
        return []
    targets = plan.factored.targets
    share = len(targets) // plan.ranks
    last = targets[share * (plan.ranks - 1) :]
    work = sum(svd_operations(each) for each in last)
    slow, fast = SVD_SPEED[plan.device]
    which = f"{len(last)} of {len(targets)} matrices on the last rank"
    formula = f"{work:.2g} operations (6mn² + 20n³), {which}, at {slow / GB:g} to {fast / GB:g} GFLOP/s; later from the cache"
    source = "Golub and Van Loan, Matrix Computations, fig. 8.6.1; docs/library.md"
    basis: Basis = "measured" if plan.device == "cpu" else "assumed"
    return [
        Figure(
            "decomposing, once",
            work / fast,
            work / slow,
            formula,
            source,
            basis,
            "seconds",
        )
    ]


def save(shape: ModelShape, plan: Plan, assumed: Assumptions) -> Figure:
    size, (slow, fast) = state_bytes(shape, plan), assumed.write_speed
    formula = f"{size / GB:.2f} GB at {slow / GB:g} to {fast / GB:g} GB/s; training waits for it"
    return Figure("writing one full state", size / fast, size / slow, formula, "--write-speed", "assumed", "seconds")


def verify(shape: ModelShape, plan: Plan) -> Figure:
    size, (slow, fast) = state_bytes(shape, plan), VERIFY_SPEED
    formula = f"{size / GB:.2f} GB at {slow / GB:g} to {fast / GB:g} GB/s; beside the training"
    return Figure("fsync and SHA-256 of it", size / fast, size / slow, formula, "docs/checkpoints.md", "measured", "seconds")


def grace(plan: Plan, figures: list[Figure]) -> tuple[str, str]:
    """(yes, perhaps or no; why) the grace period suffices to save and verify one state, the step under way not counted."""
    needed = [each for each in figures if each.what in ("writing one full state", "fsync and SHA-256 of it")]
    low, high = sum(each.low for each in needed), sum(each.high for each in needed)
    left = max(plan.grace_seconds - LAST_WORDS, plan.grace_seconds / 2)
    if not plan.saves_on_preemption:
        return "no", "checkpoint.onPreemption is false: nothing is saved when a pod is told to end"
    takes = f"save and check take {low:.0f} to {high:.0f} s, and the step under way"
    have = f"terminationGracePeriodSeconds {plan.grace_seconds} leaves {left:g} s; {takes}"
    if high <= left:
        return "yes", have
    return "perhaps" if low <= left else "no", f"{have}; set runPolicy.terminationGracePeriodSeconds: {enough(high)}"


def enough(seconds: float) -> int:
    """A round number of seconds with room for a step."""
    return ceil((seconds * 1.2 + 30 + LAST_WORDS) / 30) * 30
