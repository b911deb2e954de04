"""Collectives that the plug-ins need, and the loader that takes up a run in mid-epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

NODE_OUTPUT_ENV = "KUBETUNE_NODE_OUTPUT"
"""Set where each node has an output directory of its own."""


def is_first() -> bool:
    from torch import distributed

    return distributed.get_rank() == 0


def keeps_directory() -> bool:
    """Whether this rank is the one that moves and removes what all ranks wrote below its output directory."""
    return os.environ.get("LOCAL_RANK", "0") == "0" if os.environ.get(NODE_OUTPUT_ENV) else is_first()


def world_size() -> int:
    from torch import distributed

    return distributed.get_world_size()


def barrier() -> None:
    from torch import distributed

    distributed.barrier()


def highest(value: int) -> int:
    """The highest value of all ranks; every rank must ask."""
    from torch import distributed

    return reduced(value, distributed.ReduceOp.MAX)


def total(value: int) -> int:
    """The sum over all ranks; every rank must ask."""
    from torch import distributed

    return reduced(value, distributed.ReduceOp.SUM)


def total_here(value: int) -> int:
    """The sum over the ranks that write into this rank's output directory; every rank must ask.

    Where each node has one of its own that is its share: the ranks hold much the same.
    """
    everywhere = total(value)
    return everywhere * int(os.environ["LOCAL_WORLD_SIZE"]) // world_size() if os.environ.get(NODE_OUTPUT_ENV) else everywhere


def reduced(value: int, operation: Any) -> int:
    import torch
    from torch import distributed

    device = torch.device("cuda", torch.cuda.current_device()) if distributed.get_backend() == "nccl" else torch.device("cpu")
    number = torch.tensor(value, dtype=torch.int64, device=device)
    distributed.all_reduce(number, op=operation)
    return int(number.item())


def resume_loader(loader: Any, skipped: int) -> None:
    """The first iteration of `loader` starts with `skipped` empty batches, in place of the epochs that were done before.

    Both backends skip as many batches as steps were done in the whole run, but count them within the resumed epoch.
    """
    plain, left = type(loader).__iter__, [skipped]

    def iterate(self: Any) -> Iterator[Any]:
        return chain(repeat(None, left.pop() if left else 0), plain(self))

    loader.__class__ = type("ResumedLoader", (type(loader),), {"__iter__": iterate})
