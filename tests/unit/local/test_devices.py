from __future__ import annotations

from pathlib import Path

import pytest
from manifests import pytorchjob

from kubetune.local.devices import gpus, shares
from kubetune.local.training_operator import desired_pods


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


def test_gpus_are_numbered_as_cuda_numbers_them(dev: Path) -> None:
    assert gpus({}, dev) == ["0", "1", "2"]


def test_cuda_visible_devices_is_heeded(dev: Path) -> None:
    assert gpus({"CUDA_VISIBLE_DEVICES": "1, GPU-abc"}, dev) == ["1", "GPU-abc"]
    assert gpus({"CUDA_VISIBLE_DEVICES": ""}, dev) == []


def test_a_machine_without_gpus(tmp_path: Path) -> None:
    assert gpus({}, tmp_path) == []
    assert gpus({"CUDA_VISIBLE_DEVICES": "0"}, tmp_path) == []


def pods(*limits: int) -> list[dict]:
    job = pytorchjob("pass", workers=len(limits) - 1)
    job["metadata"]["uid"] = "u1"
    made = desired_pods(job, 1)
    for pod, limit in zip(made, limits, strict=True):
        pod["spec"]["containers"][0]["resources"] = {"limits": {"nvidia.com/gpu": limit}}
    return made


def test_no_two_pods_share_a_gpu() -> None:
    assert shares(pods(2, 1), ["0", "1", "2", "3"]) == [["0", "1"], ["2"]]
    assert shares(pods(0, 0), []) == [[], []]


def test_too_few_gpus_are_refused() -> None:
    with pytest.raises(ValueError, match="asks for 3 GPUs, this machine has 2"):
        shares(pods(2, 1), ["0", "1"])
