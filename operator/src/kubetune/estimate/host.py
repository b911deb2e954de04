"""Main memory of a node: loading, saving, the processes themselves, and /dev/shm within the same limit."""

from __future__ import annotations

from kubetune.estimate.figures import Figure, total
from kubetune.estimate.plan import Plan
from kubetune.estimate.shape import ModelShape

GB, MB = 10**9, 10**6


def host(shape: ModelShape, plan: Plan) -> list[Figure]:
    """Of the first node, which needs most: it saves."""
    processes = Figure(
        "processes",
        1.5 * GB * plan.procs,
        4 * GB * plan.procs,
        f"1.5 to 4 GB x {plan.procs}",
        "Python, torch, CUDA's libraries",
        "assumed",
    )
    shm = Figure(
        "/dev/shm",  # noqa: S108 - what it is called
        64 * MB * plan.procs,
        GB * plan.procs,
        f"64 MB to 1 GB x {plan.procs}, NCCL and data loaders; kubetune gives it half of resources.limits.memory",
        "kubetune.render.storage.shared_memory",
        "assumed",
    )
    parts = [loading(shape, plan), processes, shm]
    return [*parts, total("memory of the first node", parts)]


def loading(shape: ModelShape, plan: Plan) -> Figure:
    """Low: what is loaded. High: the larger of that and what the first rank gathers to save."""
    if plan.factored is not None:
        loaded, gathered = 4.0 * shape.parameters, 4.0 * plan.factored.held + weights(shape)
        formula = f"float32 on the first rank ({loaded / GB:.1f} GB); to save, all factors and the matrices made of them"
        source = "mini_trainer 0.9.0 osft_utils.py _load_model_memory_efficient, train.py (full_state_dict, cpu_offload)"
    else:
        loaded, gathered = float(plan.procs * weights(shape)), 12.0 * shape.parameters
        each = f"{plan.procs} x {weights(shape) / GB:.1f} GB"
        formula = f"every process loads the model ({each}); the first gathers weights and moments to save"
        source = "instructlab-training 0.16.2 model.py; accelerate FULL_STATE_DICT, rank0_only"
    return Figure("model in main memory", loaded, max(loaded, gathered), formula, source, "source")


def weights(shape: ModelShape) -> int:
    return shape.stored_bytes * shape.parameters
