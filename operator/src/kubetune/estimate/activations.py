"""What a forward pass keeps for the backward pass, by token of a mini-batch.

Both backends recompute each transformer block in the backward pass (instructlab-training: gradient_checkpointing_enable;
mini-trainer: checkpoint_wrapper around each block), so that the inputs of all blocks are kept, and the inside of one. What is
inside is added up from the block's own operations, in bfloat16, in the manner of Korthikanti et al., Reducing Activation
Recomputation in Large Transformer Models (arXiv:2205.05198, section 4), whose 34·s·b·h is for GPT's block, not for llama's.
"""

from __future__ import annotations

from kubetune.estimate.figures import Figure
from kubetune.estimate.plan import Plan
from kubetune.estimate.shape import ModelShape

BF16, FP32 = 2, 4
PAPER = "arXiv:2205.05198, section 4, for llama's block"
LOGITS_SOURCE = "transformers.loss.ForCausalLMLoss upcasts the logits to float32; torch keeps log_softmax for the backward pass"


def of_tokens(shape: ModelShape, plan: Plan, tokens: int) -> list[Figure]:
    """The figures of a mini-batch of so many tokens."""
    return [kept_inputs(shape, tokens), inside_a_block(shape, plan, tokens), logits(shape, plan, tokens)]


def per_token(shape: ModelShape, plan: Plan) -> tuple[float, float]:
    """(low, high) bytes a token: all of it grows with their number."""
    parts = of_tokens(shape, plan, 1)
    return sum(part.low for part in parts), sum(part.high for part in parts)


def kept_inputs(shape: ModelShape, tokens: int) -> Figure:
    size = tokens * shape.hidden * BF16 * shape.layers
    formula = f"{tokens} tokens x {shape.hidden} x 2 B x {shape.layers} blocks"
    return Figure("inputs of the blocks", size, size, formula, f"activation checkpointing; {PAPER}", "derived")


def inside_a_block(shape: ModelShape, plan: Plan, tokens: int) -> Figure:
    """Low: what is saved for the backward pass. High: half as much again, for the gradients that flow back through it."""
    low = tokens * saved_in_a_block(shape, plan)
    formula = "16 hidden + 4 query + 4 key + 8 intermediate bytes a token" + (" + OSFT's inner products" if plan.factored else "")
    return Figure("inside of one block", low, 1.5 * low, formula, f"{PAPER}; torch's count on a CPU agrees", "derived")


def saved_in_a_block(shape: ModelShape, plan: Plan) -> float:
    """Bytes a token. Two norms keep their input in float32 and the normed one; linear layers share their inputs."""
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    norms = 2 * (FP32 + BF16) * shape.hidden
    inputs = 2 * BF16 * shape.hidden
    attention = BF16 * (2 * query + 2 * key)  # q, k, v, and what comes out
    if any("q_norm" in each.name for each in shape.tensors):
        attention += (FP32 + BF16) * (query + key)
    return norms + inputs + attention + BF16 * 4 * shape.intermediate + inner_products(shape, plan)


def inner_products(shape: ModelShape, plan: Plan) -> float:
    """OSFT's linear keeps x Vᵀ and its product with S, of the trained part alone (mini_trainer: _factorized_linear)."""
    return 2 * BF16 * plan.factored.trained_rank / max(1, shape.layers) if plan.factored else 0.0


def logits(shape: ModelShape, plan: Plan, tokens: int) -> Figure:
    """Low to high: without and with the buffers of the upcast and of its gradient at the same time."""
    values = tokens * shape.vocab
    if plan.liger and plan.factored is not None:
        formula, source = "Liger's loss works by pieces of the logits", "liger_kernel: fused_linear_cross_entropy"
        return Figure("logits and loss", 0, BF16 * values / 4, formula, source, "source")
    if plan.liger:
        formula = f"{tokens} tokens x {shape.vocab} x 2 to 8 B"
        return Figure("logits and loss", 2 * values, 8 * values, formula, "liger_kernel: cross_entropy, in place", "source")
    formula = f"{tokens} tokens x {shape.vocab} x 10 to 14 B (bfloat16, float32, log_softmax, gradients)"
    return Figure("logits and loss", 10 * values, 14 * values, formula, LOGITS_SOURCE, "derived")
