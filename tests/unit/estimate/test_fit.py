from __future__ import annotations

import pytest
from estimated_jobs import job
from model_configs import LLAMA_8B, SMOLLM2

from kubetune.estimate import Assumptions, ModelShape, estimate, shape_of
from kubetune.estimate.fit import Fit
from kubetune.estimate.memory import moments

LLAMA = shape_of(LLAMA_8B)
GIB = 2**30


def fit(memory: int, shape: ModelShape = LLAMA, algorithm: str = "sft", **spec: object) -> Fit:
    found = estimate(job(algorithm, **spec), shape, Assumptions(memory * GIB)).fit
    assert found is not None
    return found


def test_what_cannot_fit_says_how_many_ranks_it_takes() -> None:
    found = fit(80)  # 8 B parameters on one GPU: 128 GB of weights, gradients and moments
    assert (found.verdict, found.suggested) == ("no", None)
    assert "raise nodes x procsPerNode to 3 or more" in found.why


def test_the_suggestion_fits_by_the_cautious_end() -> None:
    found = fit(80, algorithm="osft", nodes=2, procsPerNode=8)
    assert found.suggested is not None
    assert found.suggested % 256 == 0
    again = job("osft", {"maxTokensPerGpu": found.suggested}, nodes=2, procsPerNode=8)
    parts = estimate(again, LLAMA, Assumptions(80 * GIB))
    batch = sum(each.high for each in moments(LLAMA, parts.plan, found.suggested, "full")["a mini-batch"])
    assert batch <= 80 * GIB
    assert parts.fit is not None
    assert parts.fit.verdict == "yes"


@pytest.mark.parametrize(("tokens", "verdict"), [(4096, "yes"), (60_000, "no")])
def test_the_verdict_is_on_what_the_job_asks_for(tokens: int, verdict: str) -> None:
    found = fit(80, training={"maxTokensPerGpu": tokens, "maxSeqLen": 4096}, nodes=2, procsPerNode=8)
    assert found.verdict == verdict


def test_between_the_ends_it_is_perhaps() -> None:
    sure = fit(80, procsPerNode=8, nodes=4, training={"effectiveBatchSize": 100_000})
    assert sure.suggested is not None
    assert sure.at_most is not None
    between = (sure.suggested + sure.at_most) // 2
    found = fit(80, procsPerNode=8, nodes=4, training={"effectiveBatchSize": 100_000, "maxTokensPerGpu": between, "maxSeqLen": 512})
    assert found.verdict == "perhaps"


def test_no_more_is_suggested_than_a_step_has() -> None:
    found = fit(80, shape_of(SMOLLM2), training={"effectiveBatchSize": 4, "maxSeqLen": 128})
    assert found.suggested == 512


def test_a_sample_that_does_not_fit_is_told() -> None:
    found = fit(24, training={"maxSeqLen": 131072}, nodes=4, procsPerNode=8)
    assert found.verdict == "no"
    assert "lower maxSeqLen" in found.why
