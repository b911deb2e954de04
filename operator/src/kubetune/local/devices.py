"""The accelerators of this machine, found without importing anything heavy, and who gets which."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kubetune.cluster import Manifest
from kubetune.local.pods import container

GPU = "nvidia.com/gpu"


def gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """CUDA's names of the GPUs that may be used: those of CUDA_VISIBLE_DEVICES if it is set, else every /dev/nvidia<n>."""
    there = sorted(int(match[1]) for path in devices.glob("nvidia*") if (match := re.fullmatch(r"nvidia(\d+)", path.name)))
    if (visible := environment.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip()] if there else []
    return [str(index) for index in range(len(there))]


def gpu_limit(pod: Manifest) -> int:
    """How many GPUs the pod asks for."""
    limits = container(pod).get("resources", {}).get("limits", {})
    return int(limits.get(GPU, 0))


def shares(pods: list[Manifest], available: list[str]) -> list[list[str]]:
    """Each pod's GPUs, none shared: two ranks of one gang on one GPU are refused by NCCL.

    Raises:
        ValueError: there are not enough.

    """
    wanted = [gpu_limit(pod) for pod in pods]
    if sum(wanted) > len(available):
        raise ValueError(f"the job asks for {sum(wanted)} GPUs, this machine has {len(available)}")
    starts = [sum(wanted[:i]) for i in range(len(wanted))]
    return [available[start : start + count] for start, count in zip(starts, wanted, strict=True)]
