import pytest

from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.contract import Contract, JobIdentity
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.rendezvous import torchrun_of

POD = {
    "MASTER_ADDR": "job-master-0",
    "MASTER_PORT": "23456",
    "PET_NNODES": "2:4",
    "PET_NODE_RANK": "1",
    "RANK": "1",
    "WORLD_SIZE": "2",
}


def contract(**changes: object) -> Contract:
    values = {
        "job": JobIdentity(kind="SFTJob", namespace="ns", name="a", uid="u-1", spec_hash="0" * 64),
        "attempt": 3,
        "algorithm": "sft",
        "backend": "instructlab-training",
        "model": "/m",
        "dataset": "/d",
        "output": "/o",
        "output_uri": "pvc://o",
        "nodes": 2,
        "procs_per_node": 8,
        "rendezvous_timeout_seconds": 90,
    }
    return Contract(**{**values, **changes})


def test_the_operators_environment_and_the_contract_make_the_rendezvous() -> None:
    assert torchrun_of(contract(), POD) == Torchrun(8, 2, 1, "u-1-3", "job-master-0:23456", 90)


def test_one_node_needs_no_rendezvous_whatever_the_pod_says() -> None:
    assert torchrun_of(contract(nodes=1), POD) == Torchrun(8, 1, 0, "u-1-3", None, 90)


def test_a_training_operator_without_pet_variables_is_understood() -> None:
    pod = {k: v for k, v in POD.items() if not k.startswith("PET_")}
    assert torchrun_of(contract(), pod).node_rank == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"MASTER_ADDR": ""}, "MASTER_ADDR: '' names no master"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT: '99999' is no TCP port"),
        ({"MASTER_PORT": "x"}, "MASTER_PORT"),
        ({"PET_NODE_RANK": "2"}, "PET_NODE_RANK: '2' is no node rank from 0 to 1"),
        ({"PET_NODE_RANK": "-1"}, "PET_NODE_RANK"),
    ],
)
def test_nonsense_is_refused_by_name(change: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        torchrun_of(contract(), POD | change)
