"""Makes worker scripts that only know CUDA run on the CPU with gloo: real FSDP1 and FSDP2, at any number of processes.

Neither backend has a switch for it. ACCELERATE_USE_CPU is not one: it wraps DDP in DDP, and the checkpoint's keys then
start with `module.` and load as random weights.
"""

from __future__ import annotations

import collections
import contextlib
import copyreg
from collections.abc import Iterator
from typing import Any

PRIVATE_NAMES = (
    "accelerate.state:PartialState._prepare_backend",
    "accelerate.state:PartialState.set_device",
    "torch.distributed.fsdp._flat_param:FlatParamHandle.to_cpu",
    "torch.distributed.device_mesh:init_device_mesh",
)
"""What this leans on beyond public interfaces; a test asserts that each is still there."""


def patch_torch() -> None:
    """Patches this process. Call before the backend is imported."""
    patch_device()
    patch_cuda()
    patch_distributed()


def patch_device() -> None:
    """torch.device("cuda", n) is the CPU from now on; isinstance() still works."""
    import torch

    real, cpu = torch.device, torch.device("cpu")

    class CpuDevice(type):
        def __instancecheck__(cls, other: object) -> bool:
            return isinstance(other, real)

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            made = real(*args, **kwargs)
            return cpu if made.type == "cuda" else made

    replacement: Any = CpuDevice("device", (), {"__module__": "torch"})
    torch.device = replacement  # type: ignore[misc]  # replacing the class is the point
    copyreg.pickle(real, lambda device: (replacement, (str(device),)))


def patch_cuda() -> None:
    """The calls that the scripts make without asking whether there is a GPU."""
    import torch

    cuda: Any = torch.cuda
    cpu = torch.device("cpu")
    cuda.set_device = cuda.reset_peak_memory_stats = cuda.empty_cache = lambda *_args, **_kwargs: None
    cuda.current_device = lambda: cpu
    cuda.memory_stats = lambda *_args, **_kwargs: collections.defaultdict(int)
    torch.Tensor.cuda = lambda self, *_args, **_kwargs: self  # type: ignore[method-assign]  # stays where it is


def patch_distributed() -> None:
    """Uses gloo for NCCL, CPU meshes, and FSDP1 without its copy to where it already is."""
    import torch
    from accelerate import state
    from torch import distributed
    from torch.distributed import device_mesh
    from torch.distributed.fsdp import _flat_param

    init, mesh, cpu = distributed.init_process_group, device_mesh.init_device_mesh, torch.device("cpu")

    def init_gloo(backend: object = None, *args: Any, device_id: object = None, **kwargs: Any) -> None:
        del backend, device_id
        init("gloo", *args, **kwargs)

    def stay(self: Any) -> Iterator[None]:
        del self
        yield

    distributed.init_process_group = init_gloo
    setattr(device_mesh, "init_device_mesh", lambda _kind, *args, **kwargs: mesh("cpu", *args, **kwargs))  # noqa: B010 - typed as final
    # accelerate itself would fall back to no distribution, or to DDP
    state.PartialState._prepare_backend = lambda *_args, **_kwargs: ("gloo", state.DistributedType.MULTI_GPU)  # noqa: SLF001
    state.PartialState.set_device = lambda self: setattr(self, "device", cpu)
    # FSDP1 would free the live storage of parameters that are on the CPU already
    setattr(_flat_param.FlatParamHandle, "to_cpu", contextlib.contextmanager(stay))  # noqa: B010 - typed as a method
