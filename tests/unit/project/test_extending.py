"""docs/extending.md: its package, installed and trained with."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from distributions import install

import kubetune_trainer
from kubetune_trainer.checkpoints import read_manifest
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.registry import AlgorithmRegistry

PAGE = Path(__file__).parents[3] / "docs" / "extending.md"


def files() -> dict[str, str]:
    """The page's code blocks by the name in their first line."""
    blocks = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return dict(blocks)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = files()
    project = tomllib.loads(given["pyproject.toml"])["project"]
    monkeypatch.syspath_prepend(tmp_path / "site")
    modules = {name.removesuffix(".py"): source for name, source in given.items() if name.endswith(".py")}
    install(tmp_path / "site", project["name"], project["entry-points"], **modules)


@pytest.mark.usefixtures("package")
def test_the_page_names_files_that_exist_and_its_algorithm_is_found() -> None:
    assert "norm_tuning" in AlgorithmRegistry.list_algorithms()
    assert AlgorithmRegistry.list_backends("norm_tuning") == ["plain-loop"]
    with pytest.raises(ConfigurationError, match="learning_rate: None is missing; give it: Rate of AdamW"):
        kubetune_trainer.norm_tuning("/m", "/d.jsonl", "/o")
    root = PAGE.parents[1]
    named = [
        n.replace("T/", "trainer_image/src/kubetune_trainer/", 1)
        for n in re.findall(r"`((?:T|examples)/[\w./-]+)`", PAGE.read_text())
    ]
    assert len(named) >= 5
    assert [name for name in named if not (root / name).is_file()] == []


@pytest.mark.train
@pytest.mark.usefixtures("package")
def test_it_trains(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    places = {"model_path": str(tiny_model), "data_path": str(tiny_data), "ckpt_output_dir": str(tmp_path / "out")}
    with pytest.raises(ConfigurationError, match="nproc_per_node: 2 is more than one process"):
        kubetune_trainer.norm_tuning(**places, learning_rate=0.1, nproc_per_node=2, device="cpu")
    result = kubetune_trainer.norm_tuning(**places, learning_rate=0.1, num_epochs=2, device="cpu")
    assert result.reached_end
    assert (result.step, result.total_steps) == (12, 12)
    assert result.losses[-1] < result.losses[0]
    checkpoint = Path(result.checkpoint.uri)
    assert read_manifest(checkpoint).algorithm == "norm_tuning"
    before, after = (load_file(p / "model.safetensors") for p in (tiny_model, checkpoint))
    assert {name for name in after if not before[name].equal(after[name])} == {name for name in after if "norm" in name}
    assert json.loads((tmp_path / "out" / "training_metrics_0.jsonl").read_text().splitlines()[0])["step"] == 1
