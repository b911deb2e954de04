"""Sets how many processes load instructlab-training's data: always 8 a rank, which on a CPU compete with the training itself."""

from __future__ import annotations

from typing import Any

PRIVATE_NAMES = ("instructlab.training.sampler:get_data_loader",)


def install(*, count: int) -> None:
    """0: the rank itself loads."""
    from instructlab.training import sampler

    make = sampler.get_data_loader

    def make_with(*args: Any, **kwargs: Any) -> Any:
        return make(*args, **{**kwargs, "num_workers": count})

    sampler.get_data_loader = make_with
