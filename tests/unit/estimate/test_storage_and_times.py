from __future__ import annotations

import pytest
from estimated_jobs import job
from model_configs import LLAMA_8B, SMOLLM2

from kubetune.estimate import Assumptions, Estimate, estimate, shape_of

LLAMA, SMALL = shape_of(LLAMA_8B), shape_of(SMOLLM2)


def of(result: Estimate, what: str) -> tuple[float, float]:
    every = [*result.storage, *result.times, *result.host]
    found = next(each for each in every if each.what.startswith(what))
    return found.low, found.high


def test_sizes_are_those_that_docs_checkpoints_has_of_smollm2() -> None:
    """A full state of 1.5 to 1.7 GB, weights of 542 MB (float32, as the demo stores the model)."""
    stored = shape_of(SMOLLM2 | {"torch_dtype": "float32"})
    osft = estimate(job("osft", device="cpu"), stored, Assumptions())
    assert of(osft, "one full state")[0] == pytest.approx(1.5e9, rel=0.03)
    assert of(osft, "one checkpoint of weights")[0] == pytest.approx(0.538e9, rel=0.01)
    assert of(estimate(job(device="cpu"), stored, Assumptions()), "one full state")[0] == pytest.approx(1.7e9, rel=0.02)


@pytest.mark.parametrize(
    ("algorithm", "training", "checkpoint", "weights"),
    [
        ("sft", {"numEpochs": 3}, {}, 3),
        ("sft", {"numEpochs": 3}, {"keepWeights": 2}, 2),
        ("sft", {"numEpochs": 3, "checkpointAtEpoch": False, "saveSamples": 100}, {}, 1),
        ("osft", {"numEpochs": 3}, {}, 1),
        ("osft", {"numEpochs": 3, "checkpointAtEpoch": True}, {}, 4),
    ],
)
def test_how_many_checkpoints_of_weights_stay(algorithm: str, training: dict, checkpoint: dict, weights: int) -> None:
    result = estimate(job(algorithm, training, checkpoint=checkpoint), LLAMA, Assumptions())
    room = next(each for each in result.storage if each.what == "room in the output")
    assert room.formula.startswith(f"{weights} of weights + 2 full states (keep 1")


def test_room_is_for_those_kept_and_the_one_being_written() -> None:
    result = estimate(job(checkpoint={"keep": 3}), LLAMA, Assumptions())
    weights, state = of(result, "one checkpoint of weights")[0], of(result, "one full state")[0]
    assert of(result, "room in the output") == (weights + 3 * state, weights + 4 * state)


def test_decomposing_smollm2_on_two_cores_takes_what_it_took() -> None:
    low, high = of(estimate(job("osft", device="cpu"), SMALL, Assumptions()), "decomposing")
    assert low == pytest.approx(20, rel=0.1)
    assert high == pytest.approx(84, rel=0.1)


def test_more_ranks_share_the_decompositions_and_the_last_has_the_rest() -> None:
    one, eight, many = (
        of(estimate(job("osft", device="cpu", procsPerNode=n), SMALL, Assumptions()), "decomposing")[1] for n in (1, 8, 128)
    )
    assert eight < one / 6
    assert many > one / 10  # 210 matrices by 128: the last rank has 83 of them


@pytest.mark.parametrize(
    ("spec", "suffices", "said"),
    [
        ({}, "no", "runPolicy.terminationGracePeriodSeconds: "),
        ({"runPolicy": {"terminationGracePeriodSeconds": 86400}}, "yes", "leaves 86395 s"),
        ({"runPolicy": {"terminationGracePeriodSeconds": 120}, "model_": "small"}, "yes", "leaves 115 s"),
        ({"checkpoint": {"onPreemption": False}}, "no", "onPreemption is false"),
    ],
)
def test_the_grace_period_is_judged(spec: dict, suffices: str, said: str) -> None:
    shape = SMALL if spec.pop("model_", None) else LLAMA
    result = estimate(job(nodes=2, procsPerNode=8, **spec), shape, Assumptions())
    assert result.grace[0] == suffices
    assert said in result.grace[1]


def test_the_disks_speed_may_be_given() -> None:
    result = estimate(job(), SMALL, Assumptions(write_speed=(1e9, 1e9)))
    low, high = of(result, "writing one full state")
    assert low == high == pytest.approx(of(result, "one full state")[0] / 1e9)


def test_every_process_of_sft_loads_the_model_and_osft_s_first_alone() -> None:
    sft = estimate(job(procsPerNode=8), LLAMA, Assumptions())
    osft = estimate(job("osft", procsPerNode=8), LLAMA, Assumptions())
    assert of(sft, "model in main memory")[0] == 8 * 2 * LLAMA.parameters
    assert of(osft, "model in main memory")[0] == 4 * LLAMA.parameters


def test_it_is_json() -> None:
    document = estimate(job("osft", nodes=2, procsPerNode=8), LLAMA, Assumptions(80 * 2**30)).to_dict()
    assert document["suggestedMaxTokensPerGpu"] == document["fit"]["suggestedMaxTokensPerGpu"] > 0
    assert document["peakPerGpu"]["low"] <= document["peakPerGpu"]["high"]
