"""Memory of one GPU, by the three moments that count: decomposing (OSFT), a mini-batch, the optimizer's step."""

from __future__ import annotations

from kubetune.estimate import activations
from kubetune.estimate.figures import SUMMED, Figure, exact, total
from kubetune.estimate.plan import Plan, Sharding
from kubetune.estimate.shape import ModelShape

GB = 10**9
SFT_SOURCE = (
    "instructlab-training 0.16.2 accelerator.py (FSDP1, mixed precision bf16); accelerate 1.15 prepare_model upcasts to float32"
)
OSFT_SOURCE = "mini_trainer 0.9.0 train_dtype float32, wrap_fsdp2 (param_dtype bfloat16, reduce_dtype float32)"
CUDA = Figure(
    "CUDA context, NCCL", 0.8 * GB, 2.5 * GB, "0.8 to 2.5 GB a process", "depends on driver, GPU and number of peers", "assumed"
)
FRAGMENTS = 0.08
"""Share of the rest that the caching allocator may hold without using it."""


def states(shape: ModelShape, plan: Plan, sharding: Sharding) -> list[Figure]:
    """What is there from the first step to the last: float32, sharded."""
    shards = plan.shards(sharding)
    held = plan.factored.held if plan.factored else shape.parameters
    trained = plan.factored.trained if plan.factored else shape.parameters
    source = OSFT_SOURCE if plan.factored else SFT_SOURCE
    named = f"U, S, V of {len(plan.factored.targets)} matrices and the rest" if plan.factored else "master weights"
    return [
        exact("parameters", 4 * held / shards, f"4 B x {held:,} ({named}) / {shards} ranks", source, "measured"),
        exact("gradients", 4 * trained / shards, f"4 B x {trained:,} trained / {shards} ranks", source, "source"),
        exact("AdamW's moments", 8 * trained / shards, f"8 B x {trained:,} trained / {shards} ranks", source, "measured"),
    ]


def gathered(shape: ModelShape, plan: Plan) -> Figure:
    """Blocks whose parameters are whole at the moment: the current and the next one, and what is outside of the blocks."""
    block, outside = largest_block(shape, plan), shape.outside
    low = 2 * (2 * block + outside)
    if plan.factored is None:
        high, how = low + 2 * 2 * block + 2 * outside, "and their gradients in bfloat16"
        source = "torch FSDP: backward_prefetch BACKWARD_PRE, limit_all_gathers; the root stays gathered"
    else:
        trained = trained_in_a_block(plan)
        high, how = low + 6 * (trained + outside), "and their gradients in bfloat16 and float32"
        source = "torch FSDP2: one block prefetched; gradients are reduced in float32"
    formula = f"bfloat16 of 2 blocks of {block:,} and {outside:,} outside of them, {how}"
    return Figure("whole blocks in passing", low, high, formula, source, "source")


def largest_block(shape: ModelShape, plan: Plan) -> int:
    """Parameters of the largest block; OSFT's factors are more than the matrices that they replace."""
    if plan.factored is None:
        return shape.largest_block
    targets = set(plan.factored.targets)
    sizes = (
        sum(min(each.shape) * (sum(each.shape) + 1) if each in targets else each.size for each in block)
        for block in shape.blocks().values()
    )
    return max(sizes, default=0)


def trained_in_a_block(plan: Plan) -> int:
    blocks = {each.layer for each in plan.factored.targets} if plan.factored else set()
    return plan.factored.trained_factors // max(1, len(blocks)) if plan.factored else 0


def step_buffers(shape: ModelShape, plan: Plan, sharding: Sharding) -> Figure:
    trained = plan.factored.trained if plan.factored else shape.parameters
    size = 4 * trained / plan.shards(sharding)
    formula = f"4 B x {trained:,} / {plan.shards(sharding)} ranks at most"
    return Figure(
        "buffers of the step", 0, size, formula, "torch.optim.AdamW: foreach needs about a copy of the parameters", "source"
    )


def decomposing(plan: Plan) -> list[Figure]:
    """compute_distributed_svd: each rank keeps the factors of its share on its GPU until all are done; the first gathers them."""
    if plan.factored is None:
        return []
    factors = 4.0 * plan.factored.factors
    shares = plan.ranks if len(plan.factored.targets) >= plan.ranks else 1
    largest = max(4.0 * each.size for each in plan.factored.targets) if plan.factored.targets else 0.0
    source = "mini_trainer 0.9.0 osft_utils.py compute_distributed_svd"
    low = factors / shares
    return [
        exact(
            "the model's shards",
            4 * plan.factored.held / plan.ranks,
            f"4 B x {plan.factored.held:,} / {plan.ranks}",
            source,
            "source",
        ),
        Figure(
            "factors of its share",
            low,
            factors,
            f"{low / GB:.1f} GB a rank; all {factors / GB:.1f} GB on the first, at worst",
            source,
            "source",
        ),
        Figure(
            "work space of one SVD",
            3 * largest,
            8 * largest,
            "3 to 8 times the largest matrix",
            "cuSOLVER's gesvd work space",
            "assumed",
        ),
    ]


def moments(shape: ModelShape, plan: Plan, tokens: int, sharding: Sharding) -> dict[str, list[Figure]]:
    """What is held at each moment; the largest is the peak."""
    held = states(shape, plan, sharding)
    found = {
        "a mini-batch": [*held, gathered(shape, plan), *activations.of_tokens(shape, plan, tokens), CUDA],
        "the optimizer's step": [*held, step_buffers(shape, plan, sharding), CUDA],
    }
    if plan.factored:
        found = {"decomposing, before the first step": [*decomposing(plan), CUDA], **found}
    return {name: [*parts, fragments(parts)] for name, parts in found.items()}


def fragments(parts: list[Figure]) -> Figure:
    size = FRAGMENTS * sum(part.high for part in parts if part is not CUDA)
    return Figure("fragmentation", 0, size, f"0 to {FRAGMENTS:.0%} of the rest", "PyTorch's caching allocator", "assumed")


def peak(parts_of: dict[str, list[Figure]]) -> Figure:
    """The moment that needs most."""
    sums = {name: total(name, parts) for name, parts in parts_of.items()}
    low, high = max(each.low for each in sums.values()), max(each.high for each in sums.values())
    worst = max(sums, key=lambda name: sums[name].high)
    return Figure("peak of one GPU", low, high, f"the largest of {', '.join(sums)}: {worst}", SUMMED, sums[worst].basis)
