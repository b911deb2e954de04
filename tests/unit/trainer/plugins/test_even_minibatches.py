import pytest
from instructlab.training import sampler

from kubetune_trainer.plugins import even_minibatches

LENGTHS, MAX_TOKENS, RANKS = [43] * 16, 260, 2  # the case that was seen to hang


def counts() -> list[int]:
    return [len(sampler.batch_lengths_to_minibatches_padded(LENGTHS, MAX_TOKENS, RANKS, rank)) for rank in range(RANKS)]


def test_every_rank_gets_as_many_minibatches_and_every_sample_is_still_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "batch_lengths_to_minibatches_padded", sampler.batch_lengths_to_minibatches_padded)
    assert len(set(counts())) == 2, "the backend no longer needs this plug-in"
    even_minibatches.install()
    assert len(set(counts())) == 1
    parts = [sampler.batch_lengths_to_minibatches_padded(LENGTHS, MAX_TOKENS, RANKS, rank) for rank in range(RANKS)]
    real = [i for part in parts for minibatch in part for i in minibatch if i != -1]
    assert sorted(real) == list(range(len(LENGTHS)))
