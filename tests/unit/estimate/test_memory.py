from __future__ import annotations

import pytest
from estimated_jobs import job
from model_configs import LLAMA_8B, SMOLLM2

from kubetune.estimate import Assumptions, estimate, shape_of
from kubetune.estimate.activations import of_tokens, per_token
from kubetune.estimate.memory import states
from kubetune.estimate.plan import plan_of

LLAMA = shape_of(LLAMA_8B)


@pytest.mark.parametrize(("sharding", "shards"), [("full", 16), ("hybrid", 8)])
def test_sft_holds_sixteen_bytes_a_parameter_over_the_shards(sharding: str, shards: int) -> None:
    plan = plan_of(job(nodes=2, procsPerNode=8), LLAMA)
    held = sum(each.low for each in states(LLAMA, plan, sharding))  # type: ignore[arg-type]
    assert held == pytest.approx(16 * LLAMA.parameters / shards)


def test_osft_holds_all_factors_and_moments_of_what_is_trained() -> None:
    plan = plan_of(job("osft", procsPerNode=4), LLAMA)
    factored = plan.factored
    assert factored is not None
    held = sum(each.low for each in states(LLAMA, plan, "full"))
    assert held == pytest.approx((4 * factored.held + 12 * factored.trained) / 4)
    assert factored.held > LLAMA.parameters  # U, S and V are more numbers than the matrix


def test_activations_grow_with_tokens_and_with_nothing_else() -> None:
    plan = plan_of(job(), LLAMA)
    low, high = per_token(LLAMA, plan)
    parts = of_tokens(LLAMA, plan, 1000)
    assert sum(each.low for each in parts) == pytest.approx(1000 * low)
    assert sum(each.high for each in parts) == pytest.approx(1000 * high)


def test_the_logits_of_a_large_vocabulary_are_the_largest_part_unless_liger_spares_them() -> None:
    plain, liger = (of_tokens(LLAMA, plan_of(job("osft", {"useLiger": on}), LLAMA), 8192) for on in (False, True))
    assert max(plain, key=lambda each: each.high).what == "logits and loss"
    assert liger[-1].high < plain[-1].low / 10


def test_only_osft_decomposes() -> None:
    names = [list(estimate(job(kind), LLAMA, Assumptions()).moments) for kind in ("sft", "osft")]
    assert "decomposing, before the first step" not in names[0]
    assert "decomposing, before the first step" in names[1]


def test_the_peak_is_the_largest_moment() -> None:
    result = estimate(job("osft", nodes=2, procsPerNode=8), LLAMA, Assumptions())
    highs = {name: sum(each.high for each in parts) for name, parts in result.moments.items()}
    assert result.peak.high == pytest.approx(max(highs.values()))
    assert max(highs, key=highs.__getitem__) in result.peak.formula


def test_every_figure_has_a_formula_a_source_and_a_range() -> None:
    result = estimate(job("osft", nodes=2, procsPerNode=8), LLAMA, Assumptions(80 * 2**30))
    figures = [
        each for parts in (*result.moments.values(), result.host, result.storage, result.times, [result.peak]) for each in parts
    ]
    for each in figures:
        assert each.formula, each
        assert each.source, each
        assert 0 <= each.low <= each.high, each


def test_on_the_cpu_there_is_no_cuda_and_no_verdict_on_a_gpu() -> None:
    result = estimate(job(device="cpu"), shape_of(SMOLLM2), Assumptions(80 * 2**30))
    assert result.fit is None
    assert not any("CUDA" in each.what for parts in result.moments.values() for each in parts)
    assert any("device is cpu" in note for note in result.notes)
