"""Which samples each rank computes, and when: the same global batches at any number of ranks, in an order that needs no state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler


@dataclass(eq=False)
class Batches(Sampler[list[int]]):
    """This rank's mini-batches of an epoch, as indices into the data set.

    Every optimizer step takes the next `batch` samples of a shuffle that depends on seed and epoch alone; the last step of an epoch
    takes what is left. A step's samples are dealt out to the ranks and cut into mini-batches, of which every rank gets equally
    many, for each costs a collective: where a rank has none left it computes `samples`, the index of a row that teaches nothing.
    """

    samples: int
    batch: int
    minibatch: int
    rank: int
    ranks: int
    seed: int
    epoch: int = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def steps(self) -> int:
        """Optimizer steps an epoch."""
        return ceil(self.samples / self.batch)

    @property
    def accumulation(self) -> int:
        """Mini-batches a full step."""
        return self._minibatches(self.batch)

    def samples_seen(self, step: int) -> int:
        """After that many steps of the whole run."""
        epochs, rest = divmod(step, self.steps)
        return epochs * self.samples + min(rest * self.batch, self.samples)

    def __len__(self) -> int:
        """Mini-batches an epoch."""
        last = self.samples - (self.steps - 1) * self.batch
        return (self.steps - 1) * self.accumulation + self._minibatches(last)

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(self.samples, generator=torch.Generator().manual_seed(self.seed + self.epoch)).tolist()
        for start in range(0, self.samples, self.batch):
            step = order[start : start + self.batch]
            own = step[self.rank :: self.ranks]
            for begin in range(0, self._minibatches(len(step)) * self.minibatch, self.minibatch):
                yield own[begin : begin + self.minibatch] or [self.samples]

    def _minibatches(self, samples: int) -> int:
        """Of the rank that has most."""
        return ceil(ceil(samples / self.ranks) / self.minibatch)


class Loader(DataLoader[Any]):
    """transformers' Trainer tells the epoch to a loader that asks for it, and not to its sampler."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]  # Batches
