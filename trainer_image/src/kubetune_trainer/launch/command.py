"""From the backend's torchrun command to ours, and the environment of its processes. Pure."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kubetune_trainer.backends.base import Patience, Torchrun

CPU_PATCH_ENV = "KUBETUNE_CPU_PATCH"
PLUGINS_ENV = "KUBETUNE_PLUGINS"
LOG_DIR_ENV = "KUBETUNE_LOG_DIR"

AGENT_MODULE = "kubetune_trainer.launch.agent"
WORKER_MODULE = "kubetune_trainer.launch.worker"

FOREIGN = ("PET_", "TORCHELASTIC_", "MASTER_", "RDZV_")
FOREIGN_NAMES = frozenset(
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "ROLE_RANK", "NNODES"}
    | {"MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "WANDB_PROJECT"}
)
"""What the pod was given for its rendezvous. torchrun reads PET_* as defaults of its own arguments, so a leftover
PET_RDZV_ENDPOINT beside --master-addr makes it refuse, and PET_NNODES="2:4" is no integer. And what
makes a backend log to a tracker by itself: kubetune does (kubetune_trainer.tracking)."""


@dataclass(frozen=True)
class Launch:
    """One start of a backend's workers on this node."""

    torchrun: Torchrun
    log_dir: Path  # this node's own: rank logs and what ended each rank
    device: Literal["gpu", "cpu"] = "gpu"
    plugins: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # module name below kubetune_trainer.plugins -> install()'s arguments
    environment: Mapping[str, str] = field(default_factory=dict)  # further variables of the workers
    knows_cpu: bool = False  # the script trains on a CPU by itself: torch stays as it is
    metrics_file: Path | None = None  # grows with every step on this node
    patience: Patience | None = None  # None, or no such file: for ever


def torchrun_command(command: Sequence[str], launch: Launch) -> list[str]:
    """Our torchrun, started by this interpreter and told everything explicitly, around the backend's script and its arguments.

    The rendezvous is static: node ranks are fixed, the master is node 0, and its timeout bounds the wait for missing nodes.
    """
    script = next(i for i, part in enumerate(command) if part.endswith(".py"))
    run = launch.torchrun
    options = [
        f"--nnodes={run.nnodes}",
        f"--node-rank={run.node_rank}",
        f"--nproc-per-node={run.nproc_per_node}",
        f"--rdzv-id={run.rdzv_id}",
        *rendezvous_options(run),
        "--max-restarts=0",
        f"--log-dir={launch.log_dir}",
        "--tee=3",
    ]
    return [sys.executable, "-m", AGENT_MODULE, *options, "-m", WORKER_MODULE, *command[script:]]


def rendezvous_options(run: Torchrun) -> list[str]:
    """Static where there is an endpoint, torchrun's own --standalone (a free port) where this node is alone."""
    if run.endpoint is None:
        return ["--standalone"]
    host, _, port = run.endpoint.rpartition(":")
    timeout = f"--rdzv-conf=timeout={run.join_timeout_seconds}"
    return ["--rdzv-backend=static", f"--master-addr={host}", f"--master-port={port}", timeout]


def worker_environment(base: Mapping[str, str], launch: Launch, *, cores: int) -> dict[str, str]:
    """The environment of torchrun and its workers: `base` without the pod's rendezvous, and what our launcher reads."""
    clean = {k: v for k, v in base.items() if k not in FOREIGN_NAMES and not k.startswith(FOREIGN)}
    ours = {
        CPU_PATCH_ENV: str(int(launch.device == "cpu" and not launch.knows_cpu)),
        PLUGINS_ENV: json.dumps(launch.plugins, sort_keys=True),
        LOG_DIR_ENV: str(launch.log_dir),
        "PYTHONUNBUFFERED": "1",
        **launch.environment,
    }
    if launch.device == "cpu":
        ours |= {"CUDA_VISIBLE_DEVICES": "", "NUMBA_DISABLE_JIT": "1"}  # compiling takes longer than what it would speed up
    return thread_defaults(launch.torchrun.nproc_per_node, cores) | clean | ours


def thread_defaults(processes: int, cores: int) -> dict[str, str]:
    """OpenMP's threads of each rank: the ranks share all cores but one, and a thread that waits gives its core away.

    Threads wait for one another at every parallel region. With one a core, whatever else runs holds one of them up and the
    others spin: five SVDs took 1.2 s on one thread and 20 to 39 s on two, on two cores that others used as well (2.5 s if
    waiting is passive).
    """
    return {"OMP_NUM_THREADS": str(max(1, (cores - 1) // processes)), "OMP_WAIT_POLICY": "PASSIVE"}
