from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import kubetune_trainer
from kubetune_trainer import api, documented
from kubetune_trainer.backends.base import Torchrun
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.parameters import PARAMETERS
from kubetune_trainer.run import RunPlan

PLACES = {"model_path": "/m", "data_path": "/d.jsonl", "ckpt_output_dir": "/o"}
OSFT = {**PLACES, "unfreeze_rank_ratio": 0.3, "max_tokens_per_gpu": 512, "max_seq_len": 256, "learning_rate": 1e-5}


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[RunPlan]:
    """What the library would have run."""
    from kubetune_trainer import run

    made: list[RunPlan] = []
    monkeypatch.setattr(run, "run_training", made.append)
    return made


def test_the_exported_names() -> None:
    names = ["AlgorithmRegistry", "ConfigurationError", "RunResult", "TrainingError", "create_algorithm", "osft", "sft"]
    assert sorted(kubetune_trainer.__all__) == names
    for name in kubetune_trainer.__all__:
        assert getattr(kubetune_trainer, name).__name__ == name
        assert name in dir(kubetune_trainer)
    with pytest.raises(AttributeError, match="no attribute 'dpo'; it has AlgorithmRegistry"):
        _ = kubetune_trainer.dpo


def test_the_contract_and_the_names_are_imported_without_torch() -> None:
    code = "import kubetune_trainer.contract, kubetune_trainer.parameters, sys; from kubetune_trainer import *; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"


@pytest.mark.parametrize("algorithm", ["sft", "osft"])
def test_every_parameter_is_an_argument_that_is_described(algorithm: str) -> None:
    function = getattr(documented, algorithm)
    arguments = set(inspect.signature(function).parameters) - {"further", "batch_size"}
    assert arguments == {*api.PLACES, *api.NODES, "backend", "device", *PARAMETERS[algorithm].model_fields}
    described = set(re.findall(r"^        (\w+): ", inspect.getdoc(function) and function.__doc__, flags=re.MULTILINE))
    assert arguments <= described


def test_three_arguments_are_enough_for_sft(plans: list[RunPlan]) -> None:
    kubetune_trainer.sft("/m", "/d.jsonl", "/o")
    (plan,) = plans
    assert (plan.algorithm, plan.model, plan.dataset, plan.output_dir) == ("sft", "/m", "/d.jsonl", Path("/o"))
    assert plan.parameters.given() == {}
    assert plan.torchrun == Torchrun()
    assert plan.dataset_format == "messages"
    assert plan.backend.name == "instructlab-training"


def test_the_usage_documents_arguments_reach_the_plan(plans: list[RunPlan]) -> None:
    kubetune_trainer.osft(
        **OSFT,
        effective_batch_size=4,
        use_processed_dataset=True,
        nproc_per_node=4,
        nnodes=2,
        node_rank=1,
        rdzv_id=12345,
        rdzv_endpoint="node0:29500",
        device="cpu",
    )
    kubetune_trainer.sft(**PLACES, data_output_dir="/data", accelerate_full_state_at_epoch=False, nnodes=1, rdzv_endpoint="")
    osft, sft = plans
    assert osft.torchrun == Torchrun(4, 2, 1, "12345", "node0:29500")
    assert (osft.device, osft.dataset_format) == ("cpu", "processed")
    assert osft.parameters.given()["unfreeze_rank_ratio"] == 0.3
    assert osft.checkpoint.every_epoch
    assert sft.data_dir == Path("/data")
    assert not sft.checkpoint.every_epoch


def test_the_device_is_a_gpu_only_where_torch_sees_one(plans: list[RunPlan], monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for there, device in ((True, "gpu"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        kubetune_trainer.sft(**PLACES)
        assert plans[-1].device == device
    kubetune_trainer.sft(**PLACES, device="gpu")
    assert plans[-1].device == "gpu"


def test_the_factory_takes_batch_size_for_effective_batch_size(plans: list[RunPlan]) -> None:
    kubetune_trainer.create_algorithm("osft", "mini-trainer").train(**OSFT, batch_size=6)
    kubetune_trainer.osft(**OSFT, batch_size=7)
    assert [plan.parameters.given()["effective_batch_size"] for plan in plans] == [6, 7]


def test_the_required_and_the_optional_arguments_are_told_with_their_types() -> None:
    osft = kubetune_trainer.create_algorithm("osft")
    places = {"model_path": str, "data_path": str, "ckpt_output_dir": str}
    numbers = {
        "unfreeze_rank_ratio": float,
        "effective_batch_size": int,
        "max_tokens_per_gpu": int,
        "max_seq_len": int,
        "learning_rate": float,
    }
    assert osft.get_required_params() == {**places, **numbers}
    optional = osft.get_optional_params()
    assert (optional["target_patterns"], optional["lr_scheduler"], optional["use_liger"]) == (list[str], str, bool)
    assert optional["lr_scheduler_kwargs"] == dict[str, Any]
    sft = kubetune_trainer.create_algorithm("sft")
    assert sft.get_required_params() == places
    assert {"num_epochs", "nproc_per_node", "rdzv_endpoint", "device"} <= set(sft.get_optional_params())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_epoch": 2}, r"argument: 'num_epoch' is not known; did you mean num_epochs\?"),
        ({"batch_size": 6, "effective_batch_size": 8}, r"batch_size: 6 says the same as effective_batch_size \(8\); give only one"),
        ({}, "effective_batch_size: None is missing"),
        ({"effective_batch_size": 8, "unfreeze_rank_ratio": 1.5}, "unfreeze_rank_ratio: 1.5 is refused"),
        ({"effective_batch_size": 8, "model_path": ""}, "model_path: '' is missing"),
        ({"effective_batch_size": 8, "data_path": 7}, "data_path: 7 is no path; give it as a string"),
        ({"effective_batch_size": 8, "learning_rate": None}, "learning_rate: None is missing; give it: Peak learning rate"),
        ({"effective_batch_size": 8, "nnodes": 2}, "rdzv_endpoint: '' is missing for several nodes"),
        ({"effective_batch_size": 8, "nnodes": 2, "rdzv_endpoint": "node0"}, "rdzv_endpoint: 'node0' is not host:port"),
        (
            {"effective_batch_size": 8, "nnodes": 2, "node_rank": 2, "rdzv_endpoint": "a:1"},
            r"node_rank: 2 is not below nnodes \(2\)",
        ),
        ({"effective_batch_size": 8, "nproc_per_node": 0}, "nproc_per_node: 0 is no whole number from 1"),
        ({"effective_batch_size": 8, "device": "tpu"}, "device: 'tpu' is not known"),
        (
            {"effective_batch_size": 8, "backend": "minitrainer"},
            r"backend: 'minitrainer' is not known; did you mean mini-trainer\? known: mini-trainer",
        ),
    ],
)
def test_what_is_wrong_is_a_value_error_that_says_what_to_do(arguments: dict[str, Any], message: str, plans: list[RunPlan]) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        kubetune_trainer.osft(**{**OSFT, **arguments})
    assert isinstance(caught.value, ConfigurationError)
    assert not plans


@pytest.mark.parametrize("name", [name for name in OSFT if name != "device"])
def test_a_required_argument_that_is_not_given_is_a_value_error_too(name: str, plans: list[RunPlan]) -> None:
    given = {**OSFT, "effective_batch_size": 8}
    del given[name]
    with pytest.raises(ValueError, match=f"{name}: None is missing; give it"):
        kubetune_trainer.osft(**given)
    with pytest.raises(ValueError, match=f"{name}: None is missing; give it"):
        kubetune_trainer.create_algorithm("osft").train(**given)
    assert not plans


def test_paths_may_be_paths(plans: list[RunPlan]) -> None:
    kubetune_trainer.sft(Path("/m"), Path("/d.jsonl"), Path("~/o"))  # type: ignore[arg-type]  # str by the usage document
    assert (plans[0].model, plans[0].dataset, plans[0].output_dir) == ("/m", "/d.jsonl", Path.home() / "o")


def test_further_arguments_of_the_backend_are_handed_through(plans: list[RunPlan]) -> None:
    kubetune_trainer.sft(**PLACES, adamw_eps=1e-7, adamw_betas=(0.8, 0.9), log_level="DEBUG")
    kubetune_trainer.create_algorithm("osft").train(**OSFT, batch_size=8, save_dtype="bfloat16", validation_split=0.1)
    assert plans[0].further == {"adamw_eps": 1e-7, "adamw_betas": (0.8, 0.9), "log_level": "DEBUG"}
    assert plans[1].further == {"save_dtype": "bfloat16", "validation_split": 0.1}


@pytest.mark.parametrize(
    ("algorithm", "arguments", "message"),
    [
        ("sft", {"adamw_epz": 1}, r"argument: 'adamw_epz' is not known; did you mean adamw_eps\?"),
        ("sft", {"adamw_eps": "much"}, "adamw_eps: 'much' is refused: Input should be a valid number"),
        ("sft", {"log_level": "LOUD"}, "log_level: 'LOUD' is refused: Input should be 'DEBUG'"),
        ("sft", {"random_seed": 7}, "random_seed: 7 cannot be handed to instructlab-training; use seed"),
        ("sft", {"on_demand_checkpointing": True}, "kubetune saves full states itself"),
        ("sft", {"save_dtype": "bfloat16"}, "argument: 'save_dtype' is not known"),
        ("sft", {"is_padding_free": True}, "argument: 'is_padding_free' is not known"),
        ("osft", {"weight_decay": 0.1}, "argument: 'weight_decay' is not known"),
        ("osft", {"osft_unfreeze_rank_ratio": 0.1}, "use unfreeze_rank_ratio"),
        ("osft", {"validation_split": "half"}, "validation_split: 'half' is refused"),
        ("osft", {"max_steps": 3}, "max_steps: 3 cannot be handed to mini-trainer; a run is as long as num_epochs says"),
    ],
)
def test_what_the_backend_would_drop_or_break_on_is_refused(
    algorithm: str, arguments: dict[str, Any], message: str, plans: list[RunPlan]
) -> None:
    places = PLACES if algorithm == "sft" else {**OSFT, "effective_batch_size": 8}
    with pytest.raises(ValueError, match=message):
        kubetune_trainer.create_algorithm(algorithm).train(**places, **arguments)
    assert not plans
