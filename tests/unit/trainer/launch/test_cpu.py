import pickle
import subprocess
import sys
import textwrap

import pytest
from private_names import exists


def test_the_private_names_are_there_with_the_pinned_versions() -> None:
    from kubetune_trainer.launch import cpu, process

    for name in (*cpu.PRIVATE_NAMES, *process.PRIVATE_NAMES):
        assert exists(name), name


PATCHED = """
import pickle
from kubetune_trainer.launch.cpu import patch_torch
patch_torch()
import torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
device = torch.device("cuda", 1)
assert device == torch.device("cpu") and isinstance(device, torch.device) and not isinstance("cpu", torch.device)
assert pickle.loads(pickle.dumps(device)) == device
assert torch.ones(2).cuda().device.type == "cpu"
assert torch.cuda.memory_stats()["num_alloc_retries"] == 0
torch.cuda.set_device(3); torch.cuda.empty_cache()
store = dist.HashStore()
dist.init_process_group("nccl", store=store, rank=0, world_size=1, device_id=device)
assert dist.get_backend() == "gloo"
assert init_device_mesh("cuda", (1,)).device_type == "cpu"
dist.destroy_process_group()
print("patched")
"""


@pytest.mark.train
def test_cuda_code_runs_on_the_cpu_after_the_patch() -> None:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(PATCHED)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "patched", done.stderr


def test_a_process_that_did_not_ask_for_the_patch_has_none() -> None:
    import torch

    assert torch.device("cuda", 1).type == "cuda"
    assert pickle.loads(pickle.dumps(torch.device("cuda", 1))).type == "cuda"
