"""Makes instructlab-training's validation loss the mean over the held-out tokens, whatever the number of ranks.

Every rank adds up the tokens of the whole batch (all ranks'), and the backend then adds up the ranks' sums: with N ranks each token
counts N times, and the loss is told N times too small. Here only the first rank counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

PRIVATE_NAMES = ("instructlab.training.sampler:get_data_loader",)
COUNT = "batch_num_loss_counted_tokens"


def install() -> None:
    """Changes what the loader of the held-out samples gives, if there is one; the training's stays as it is."""
    from instructlab.training import sampler

    make = sampler.get_data_loader

    def make_counting_once(*args: Any, rank: int, **kwargs: Any) -> Any:
        train, held_out = make(*args, rank=rank, **kwargs)
        if held_out is not None and rank > 0:
            held_out.collate_fn = partial(uncounted, held_out.collate_fn)
        return train, held_out

    sampler.get_data_loader = make_counting_once


def uncounted(collate: Callable[[Any], list[dict[str, Any]]], samples: Any) -> list[dict[str, Any]]:
    """The mini-batches that `collate` makes of `samples`, without tokens to divide by."""
    return [{**minibatch, COUNT: 0} for minibatch in collate(samples)]
