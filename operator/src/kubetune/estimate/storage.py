"""What a job writes: checkpoints, full states, OSFT's decompositions; and how much of it is there at once."""

from __future__ import annotations

from kubetune.estimate.figures import Figure, exact
from kubetune.estimate.plan import Plan
from kubetune.estimate.shape import ModelShape

STATE_SOURCE = "docs/checkpoints.md; SFT: accelerate save_state, weights and two moments; OSFT: mini_trainer full_state_checkpoint.py"


def weights_bytes(shape: ModelShape, plan: Plan) -> float:
    """SFT leaves float32, as FSDP holds it; OSFT the model's own type (get_model_save_dtype)."""
    return float(shape.parameters * (shape.stored_bytes if plan.factored else 4))


def state_bytes(shape: ModelShape, plan: Plan) -> float:
    """Weights in float32 and the two moments of what is trained; OSFT's are all factors."""
    if plan.factored is None:
        return 12.0 * shape.parameters
    return 4.0 * plan.factored.held + 8.0 * plan.factored.trained


def weights_kept(plan: Plan) -> int:
    """Checkpoints of weights at the end of the job."""
    made = (plan.epochs if plan.weights_every_epoch else 0) + (1 if plan.factored or not plan.weights_every_epoch else 0)
    return min(made, plan.keep_weights or made)


def storage(shape: ModelShape, plan: Plan) -> list[Figure]:
    """Each file by itself, then how many of them: the last line is what the output must have room for."""
    weights, state = weights_bytes(shape, plan), state_bytes(shape, plan)
    dtype = f"{shape.stored_bytes} B" if plan.factored else "4 B"
    formula = (
        f"4 B x {plan.factored.held:,} + 8 B x {plan.factored.trained:,} trained"
        if plan.factored
        else f"12 B x {shape.parameters:,}"
    )
    figures = [
        exact("one checkpoint of weights", weights, f"{dtype} x {shape.parameters:,}", "docs/checkpoints.md", "measured"),
        exact("one full state", state, formula, STATE_SOURCE, "measured"),
    ]
    return [*figures, *svd_cache(plan), room(plan, weights, state)]


def svd_cache(plan: Plan) -> list[Figure]:
    if plan.factored is None:
        return []
    size = 4.0 * plan.factored.factors
    formula = f"4 B x {plan.factored.factors:,}; until the job has succeeded"
    return [exact("decompositions, kept", size, formula, "docs/library.md, KUBETUNE_SVD_CACHE", "measured")]


def room(plan: Plan, weights: float, state: float) -> Figure:
    """At once: the ones that are kept, and the one that is being written before the oldest goes."""
    count = weights_kept(plan)
    states = plan.keep_states + 1 if plan.saves_states or plan.saves_on_preemption else 0
    cache = 4.0 * plan.factored.factors if plan.factored else 0.0
    low = count * weights + min(states, plan.keep_states) * state
    high = (count + bool(plan.keep_weights)) * weights + states * state + cache
    formula = f"{count} of weights + {states} full states (keep {plan.keep_states} and one being written)" + (" + decompositions" if cache else "")
    return Figure("room in the output", low, high, f"{formula}; tokenised data and logs are not counted", "docs/checkpoints.md", "source")
