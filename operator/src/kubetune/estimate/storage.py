"""What a job writes: checkpoints, full states, OSFT's decompositions; and how much of it is there at once."""

from __future__ import annotations

from kubetune.estimate.figures import Figure, exact
from kubetune.estimate.plan import Plan
from kubetune.estimate.shape import ModelShape

WEIGHTS_SOURCE = "instructlab-training 0.16.2 utils.py (FSDP's float32); mini_trainer 0.9.0 get_model_save_dtype"
STATE_SOURCE = "docs/checkpoints.md; accelerate save_state; mini_trainer 0.9.0 full_state_checkpoint.py"


def weights_bytes(shape: ModelShape, plan: Plan) -> float:
    """SFT leaves float32, as FSDP holds it, and a tied head twice; OSFT the model's own type (get_model_save_dtype)."""
    return float(shape.parameters * shape.stored_bytes if plan.factored else 4 * (shape.parameters + shape.shared_head))


def state_bytes(shape: ModelShape, plan: Plan) -> float:
    """Weights in float32 (a tied head twice) and the two moments of what is trained; OSFT's weights are all factors."""
    held = plan.factored.held if plan.factored else shape.parameters
    return 4.0 * (held + shape.shared_head) + 8.0 * trained(shape, plan)


def trained(shape: ModelShape, plan: Plan) -> int:
    return plan.factored.trained if plan.factored else shape.parameters


def weights_kept(plan: Plan) -> int:
    """Checkpoints of weights at the end of the job."""
    made = (plan.epochs if plan.weights_every_epoch else 0) + (1 if plan.factored or not plan.weights_every_epoch else 0)
    return min(made, plan.keep_weights or made)


def storage(shape: ModelShape, plan: Plan) -> list[Figure]:
    """Each file by itself, then how many of them: the last line is what the output must have room for."""
    weights, state = weights_bytes(shape, plan), state_bytes(shape, plan)
    held = plan.factored.held if plan.factored else shape.parameters
    again = f" + {shape.shared_head:,} of the tied head again" if shape.shared_head else ""
    of_weights = f"{shape.stored_bytes} B x {shape.parameters:,}" if plan.factored else f"4 B x {written(shape.parameters, again)}"
    of_state = f"4 B x {written(held, again)} + 8 B x {trained(shape, plan):,} trained"
    figures = [
        exact("one checkpoint of weights", weights, of_weights, WEIGHTS_SOURCE, "measured"),
        exact("one full state", state, of_state, STATE_SOURCE, "measured"),
    ]
    return [*figures, *svd_cache(plan), room(plan, weights, state)]


def written(parameters: int, again: str) -> str:
    return f"({parameters:,}{again})" if again else f"{parameters:,}"


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
    formula = f"{count} of weights + {states} full states (keep {plan.keep_states} and one being written)" + (
        " + decompositions" if cache else ""
    )
    return Figure(
        "room in the output", low, high, f"{formula}; tokenised data and logs are not counted", "docs/checkpoints.md", "source"
    )
