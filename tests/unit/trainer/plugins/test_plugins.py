import importlib
import re
from importlib.metadata import packages_distributions, version
from pathlib import Path

import pytest
from private_names import exists

from kubetune_trainer.launch import cpu, process
from kubetune_trainer.plugins import PLUGINS, install

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_what_a_plugin_leans_on_is_there_with_the_pinned_versions(plugin: str) -> None:
    names = importlib.import_module(f"kubetune_trainer.plugins.{plugin}").PRIVATE_NAMES
    assert names
    assert [name for name in names if not exists(name)] == []


def leaned_on() -> set[str]:
    """The distributions whose private names are used."""
    modules = [importlib.import_module(f"kubetune_trainer.plugins.{plugin}") for plugin in PLUGINS]
    packages = {name.split(".", 1)[0] for module in (*modules, cpu, process) for name in module.PRIVATE_NAMES}
    known = packages_distributions()
    return {distribution for package in packages for distribution in known[package]}


def test_the_versions_that_the_names_were_read_from_are_pinned_and_installed() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==([\w.+]+)", (ROOT / "requirements" / "all.txt").read_text(), flags=re.MULTILINE))
    leaned = leaned_on()
    assert {"instructlab-training", "rhai-innovation-mini-trainer", "torch", "accelerate"} <= leaned
    other = {name: (version(name), pins[name]) for name in leaned if version(name) != pins[name]}
    assert other == {}, (
        "another version than the pinned one: read its release notes, and see that each plug-in is still needed and works"
    )


def test_the_backends_are_pinned_exactly_for_whoever_installs_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    for name in ("instructlab-training", "rhai-innovation-mini-trainer"):
        assert f'"{name}=={version(name)}"' in project


def test_a_missing_name_would_be_noticed() -> None:
    assert not exists("mini_trainer.callbacks:CallbackManager.fired")


def test_train_still_has_the_local_names_that_are_read_through_its_frame() -> None:
    from mini_trainer.train import Checkpointer, ValidationScheduler, train

    from kubetune_trainer.plugins.periodic_save_osft import CHECKPOINTER_STATE, TRAIN_LOCALS, TRAINING_STATE

    assert set(TRAIN_LOCALS) <= set(train.__code__.co_varnames)
    assert set(TRAINING_STATE) <= set(TRAIN_LOCALS)
    assert set(CHECKPOINTER_STATE) <= set(vars(Checkpointer()))
    # what a resume reads from the saved validation schedule
    assert {k for k in vars(ValidationScheduler()) if k.startswith("last_")} >= {
        "last_validated_samples",
        "last_sample_based_validation_samples",
    }


def test_train_locals_asks_for_the_backends_train_and_no_other() -> None:
    from kubetune_trainer.plugins.periodic_save_osft import train_locals

    def train() -> None:
        train_locals()

    with pytest.raises(RuntimeError, match="is not running"):
        train()


def test_an_unknown_plugin_is_refused() -> None:
    with pytest.raises(ValueError, match="no plug-in named 'tied'; there are no_own_trackers, tied_embeddings"):
        install({"tied": {}})
