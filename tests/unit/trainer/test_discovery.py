"""Plug-ins of distributions that are made on the spot: found, preferred, broken."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from distributions import install

import kubetune_trainer
from kubetune_trainer.discovery import ALGORITHMS, BACKENDS
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.registry import AlgorithmRegistry, create_algorithm, get_backend

ALGORITHM = """
from typing import Annotated
from pydantic import Field
from kubetune_trainer.api import TrainingAlgorithm
from kubetune_trainer.parameters import SFTParameters

class Parameters(SFTParameters):
    strength: Annotated[float, Field(gt=0, description="How hard. Default: none.")]

class Mine(TrainingAlgorithm):
    '''Trains in my way.'''
    name = "mine"
    parameters = Parameters

class Impostor(Mine):
    name = "sft"
"""
BACKEND = """
from scripted import ScriptedBackend

class Slow(ScriptedBackend):
    name, algorithm = "slow", "mine"

class Fast(Slow):
    name = "fast"

class Another(Slow):
    name, algorithm = "another", "sft"
"""
AT_HOME = {ALGORITHMS.name: {"mine": "their_algorithm:Mine"}, BACKENDS.name: {"slow": "their_backend:Slow"}}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return install(tmp_path, "theirs", AT_HOME, their_algorithm=ALGORITHM, their_backend=BACKEND)


def test_another_distributions_algorithm_and_backend_are_found(site: Path) -> None:
    names = AlgorithmRegistry.list_algorithms()
    assert (names[-1], {"osft", "sft"} <= set(names[:-1])) == ("mine", True)  # ours first
    assert AlgorithmRegistry.list_backends("mine") == ["slow"]
    algorithm = create_algorithm("mine")
    assert type(algorithm).__module__ == "their_algorithm"
    assert type(algorithm.backend).__name__ == "Slow"
    assert "strength" in algorithm.get_required_params()


def test_an_installed_algorithm_is_a_function_of_the_library(site: Path) -> None:
    import inspect

    mine = kubetune_trainer.mine
    signature = inspect.signature(mine)
    assert list(signature.parameters)[:4] == ["model_path", "data_path", "ckpt_output_dir", "strength"]
    assert signature.parameters["num_epochs"].default is None
    assert inspect.getdoc(mine).startswith("Trains in my way.")
    assert "strength: How hard." in inspect.getdoc(mine)
    with pytest.raises(ConfigurationError, match="strength: None is missing"):
        mine("/m", "/d", "/o")
    with pytest.raises(ConfigurationError, match=r"'strenght' is not known; did you mean strength\?"):
        mine("/m", "/d", "/o", strenght=1.0)
    with pytest.raises(ConfigurationError, match=r"backend: 'slo' is not known; did you mean slow\?"):
        mine("/m", "/d", "/o", backend="slo", strength=1.0)
    with pytest.raises(TypeError, match="give the others by name"):
        mine("/m", "/d", "/o", 1.0)


def test_another_distributions_backend_comes_after_those_of_the_algorithms_own(site: Path, tmp_path: Path) -> None:
    install(site, "a-third", {BACKENDS.name: {"fast": "their_backend:Fast", "another": "their_backend:Another"}})
    assert AlgorithmRegistry.list_backends("mine") == ["slow", "fast"]
    assert AlgorithmRegistry.list_backends("sft") == ["instructlab-training", "another"]
    assert get_backend("sft").name == "instructlab-training"
    assert get_backend("mine", "fast").name == "fast"


BROKEN = [
    ("no_such_module:Mine", r"cannot be loaded \(ModuleNotFoundError: No module named 'no_such_module'\)"),
    ("breaks:Mine", r"cannot be loaded \(ZeroDivisionError: division by zero\)"),
    ("their_algorithm:Nobody", r"cannot be loaded \(AttributeError"),
    ("their_algorithm:Mine", "calls itself 'mine'"),
    ("pathlib:Path", "it has no parameters, verifiers, train"),
]


@pytest.mark.parametrize(("value", "says"), BROKEN)
def test_a_broken_algorithm_is_an_error_that_names_it_and_hurts_no_other(site: Path, value: str, says: str) -> None:
    install(site, "faulty", {ALGORITHMS.name: {"faulty-one": value}}, breaks="1 / 0")
    with pytest.raises(ConfigurationError, match=says) as caught:
        create_algorithm("faulty-one")
    assert f"algorithm: 'faulty-one' ({value}, entry point of faulty in kubetune.algorithms)" in str(caught.value)
    assert str(caught.value).endswith("mend or uninstall faulty")
    assert "faulty-one" in AlgorithmRegistry.list_algorithms()
    assert create_algorithm("sft").backend.name == "instructlab-training"


def test_a_broken_backend_is_left_out_with_a_warning_and_named_when_asked_for(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "faulty", {BACKENDS.name: {"bad": "breaks:Bad", "half": "their_algorithm:Mine"}}, breaks="1 / 0")
    with caplog.at_level(logging.WARNING):
        assert AlgorithmRegistry.list_backends("mine") == ["slow"]
    assert "backend: 'bad' (breaks:Bad, entry point of faulty in kubetune.backends) cannot be loaded" in caplog.text
    with pytest.raises(ConfigurationError, match=r"backend: 'bad' .* \(ZeroDivisionError: division by zero\)"):
        get_backend("mine", "bad")
    with pytest.raises(ConfigurationError, match="is no backend: it has no algorithm, distributions, run"):
        get_backend("sft", "half")


def test_an_algorithm_without_a_backend_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "bare", {ALGORITHMS.name: {"mine": "bare_algorithm:Mine"}}, bare_algorithm=ALGORITHM)
    with pytest.raises(ConfigurationError, match="algorithm: 'mine' has no backend that can be loaded"):
        create_algorithm("mine")


def test_nobody_takes_over_a_name_of_ours_by_being_installed(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    install(site, "impostor", {ALGORITHMS.name: {"sft": "their_algorithm:Impostor"}})
    assert create_algorithm("sft").__class__.__module__ == "kubetune_trainer.api"
    assert "algorithm 'sft' of impostor is not used: kubetune has one of that name" in caplog.text


def test_two_others_of_one_name_are_both_named(site: Path) -> None:
    install(site, "theirs-too", {ALGORITHMS.name: {"mine": "their_algorithm:Mine"}})
    with pytest.raises(ConfigurationError, match=r"'mine' is registered by .*theirs.* and .*theirs.*; uninstall all but one"):
        create_algorithm("mine")
    assert create_algorithm("osft").backend.name == "mini-trainer"


def test_what_is_registered_in_this_process_goes_before_what_is_installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AlgorithmRegistry, "_algorithms", {})
    monkeypatch.setattr(AlgorithmRegistry, "_backends", {})
    own = create_algorithm("osft")
    AlgorithmRegistry.register("mine", type(own), {"x": type(own.backend)})
    assert type(create_algorithm("mine")) is type(own)
    assert AlgorithmRegistry.list_backends("mine") == ["x"]
    assert AlgorithmRegistry.list_algorithms().count("mine") == 1


def test_without_entry_points_of_our_own_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from kubetune_trainer import discovery

    monkeypatch.setattr(discovery, "entry_points", lambda group: [])
    with pytest.raises(ConfigurationError, match="entry points of kubetune itself are not installed; install kubetune"):
        create_algorithm("sft")
