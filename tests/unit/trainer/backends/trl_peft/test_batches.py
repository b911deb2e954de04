"""Every sample once an epoch, in the same global batches at any number of ranks."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from kubetune_trainer.backends.trl_peft.batches import Batches, Loader

sizes = st.integers(1, 40)


def steps_of(batches: Batches) -> list[list[list[int]]]:
    """As Trainer takes them: `accumulation` mini-batches a step, what is left in the last one."""
    flat, per_step = list(batches), batches.accumulation
    assert len(flat) == len(batches)
    return [flat[start : start + per_step] for start in range(0, len(flat), per_step)]


@given(samples=sizes, batch=sizes, minibatch=st.integers(1, 9), ranks=st.integers(1, 5), epoch=st.integers(0, 3))
def test_the_ranks_together_compute_each_sample_once_in_the_batches_of_one_rank(
    samples: int, batch: int, minibatch: int, ranks: int, epoch: int
) -> None:
    def of(rank: int, ranks: int) -> Batches:
        made = Batches(samples=samples, batch=batch, minibatch=minibatch, rank=rank, ranks=ranks, seed=42)
        made.set_epoch(epoch)
        return made

    alone = [{i for part in step for i in part} for step in steps_of(of(0, 1))]
    per_rank = [steps_of(of(rank, ranks)) for rank in range(ranks)]
    assert {len(steps) for steps in per_rank} == {of(0, 1).steps} == {len(alone)}
    for number, expected in enumerate(alone):
        parts = [steps[number] for steps in per_rank]
        assert len({len(part) for part in parts}) == 1  # a rank with fewer would leave the others waiting in a collective
        taken = [i for part in parts for minibatch_ in part for i in minibatch_ if i != samples]
        assert sorted(taken) == sorted(expected)
        assert max(len(minibatch_) for part in parts for minibatch_ in part) <= minibatch
    assert sorted(i for step in alone for i in step) == list(range(samples))


def test_the_order_is_another_in_each_epoch_and_with_each_seed() -> None:
    def order(seed: int, epoch: int) -> list[list[int]]:
        return list(Batches(samples=20, batch=20, minibatch=20, rank=0, ranks=1, seed=seed, epoch=epoch))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)


def test_samples_seen_counts_the_short_last_step() -> None:
    batches = Batches(samples=48, batch=20, minibatch=4, rank=0, ranks=1, seed=0)
    assert [batches.samples_seen(step) for step in range(8)] == [0, 20, 40, 48, 68, 88, 96, 116]


def test_the_loader_hands_the_epoch_on() -> None:
    batches = Batches(samples=9, batch=4, minibatch=2, rank=0, ranks=1, seed=0)
    loader = Loader(torch.arange(10), batch_sampler=batches)  # type: ignore[arg-type]  # a tensor is indexed like a data set
    loader.set_epoch(3)
    assert [batch.tolist() for batch in loader] == list(Batches(samples=9, batch=4, minibatch=2, rank=0, ranks=1, seed=0, epoch=3))
