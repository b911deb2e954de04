"""From what the Kubeflow training operator puts into a pod to the arguments of torchrun. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import Contract
from kubetune_trainer.errors import ConfigurationError

DEFAULT_PORT = 23456  # the training operator's own default


def torchrun_of(contract: Contract, environment: Mapping[str, str]) -> Torchrun:
    """This node's place in the rendezvous: the contract says how many take part, the environment who we are.

    The operator's PET_NNODES is not read: it may be a range ("2:4"), and the contract has the number. MASTER_ADDR,
    MASTER_PORT and PET_NODE_RANK (RANK for a training operator that does not set it) are.

    Raises:
        ConfigurationError: several nodes, and a variable is missing or makes no sense.

    """
    alone = contract.nodes == 1
    rank = 0 if alone else node_rank(environment, contract.nodes)
    return Torchrun(
        nproc_per_node=contract.procs_per_node,
        nnodes=contract.nodes,
        node_rank=rank,
        rdzv_id=contract.rendezvous_id,
        endpoint=None if alone else endpoint(environment),
        join_timeout_seconds=contract.rendezvous_timeout_seconds,
    )


def node_rank(environment: Mapping[str, str], nodes: int) -> int:
    name = "PET_NODE_RANK" if "PET_NODE_RANK" in environment else "RANK"
    value = environment.get(name)
    if value is None or not value.isdigit() or int(value) >= nodes:
        raise ConfigurationError(name, value, f"is no node rank from 0 to {nodes - 1}", "let the training operator set it")
    return int(value)


def endpoint(environment: Mapping[str, str]) -> str:
    host, port = environment.get("MASTER_ADDR", ""), environment.get("MASTER_PORT", str(DEFAULT_PORT))
    if not host:
        raise ConfigurationError("MASTER_ADDR", host, "names no master for several nodes", "let the training operator set it")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigurationError("MASTER_PORT", port, "is no TCP port", "use a number from 1 to 65535")
    return f"{host}:{port}"
