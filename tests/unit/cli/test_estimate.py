from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from model_configs import LLAMA_8B, LLAMA_8B_PARAMETERS

from kubetune.cli.app import kubetune
from kubetune.cli.errors import UserError
from kubetune.cli.model_shape import quantity


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("config.json").write_text(json.dumps(LLAMA_8B))

    def call(*arguments: str, model: str | None = "pvc://models/base", **spec: Any) -> Result:
        base = {"dataset": {"uri": "pvc://d/d.jsonl"}, "output": {"uri": "pvc://o"}, "nodes": 4, "procsPerNode": 8}
        start = {"model": {"uri": model}} if model else {"resumeFrom": {"jobRef": {"name": "earlier"}}}
        document = {"apiVersion": "kubetune.dev/v1alpha1", "kind": "SFTJob", "metadata": {"name": "a"}, "spec": start | base | spec}
        Path("job.yaml").write_text(yaml.safe_dump(document))
        result = CliRunner().invoke(kubetune, ["estimate", "job.yaml", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return call


def write_weights(directory: Path, **shapes: list[int]) -> None:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(LLAMA_8B | {"model_type": "novel"}))
    entries = {name: {"dtype": "BF16", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    header = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def test_people_get_sections_with_formulas_sources_and_a_verdict(call) -> None:
    result = call("--model-config", "config.json", "--gpu-memory", "80Gi")
    assert result.exit_code == 0, result.stderr
    assert f"LlamaForCausalLM: {LLAMA_8B_PARAMETERS:,} parameters, by its config.json; 4 x 8 ranks" in result.stdout
    for said in (
        "Memory of one GPU: a mini-batch of 4096 tokens",
        "AdamW's moments",
        "arXiv:2205.05198",
        "Disk",
        "Time",
        "Does the grace period suffice? no.",
    ):
        assert said in result.stdout
    assert "suggested maxTokensPerGpu: " in result.stdout
    assert "Nothing here was measured on a GPU" in result.stdout


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_programs_get_one_document(call, output: str) -> None:
    result = call("--model-config", "config.json", "--gpu-memory", "80Gi", "-o", output)
    document = yaml.safe_load(result.stdout)
    assert document["model"]["parameters"] == LLAMA_8B_PARAMETERS
    assert document["fit"]["verdict"] == "yes"
    assert document["suggestedMaxTokensPerGpu"] % 256 == 0


def test_what_does_not_fit_is_exit_code_1(call) -> None:
    result = call("--model-config", "config.json", "--gpu-memory", "80Gi", nodes=1, procsPerNode=1)
    assert result.exit_code == 1
    assert "Does it fit? no." in result.stdout


@pytest.mark.parametrize("place", ["--volume", "state dir", "path"])
def test_the_models_shape_is_found_beside_its_weights(call, tmp_path: Path, place: str) -> None:
    directory = tmp_path / (".kubetune/volumes/models/base" if place == "state dir" else "m/base")
    write_weights(directory, **{"model.layers.0.w": [8, 8], "lm_head.weight": [4, 8]})
    more = ["--volume", f"models={directory.parent}"] if place == "--volume" else []
    result = call(*more, "-o", "json", **({"model": str(directory)} if place == "path" else {}))
    assert json.loads(result.stdout)["model"] == {
        "architecture": "LlamaForCausalLM",
        "parameters": 96,
        "shapesFrom": "the headers of its safetensors files",
    }


@pytest.mark.parametrize(
    ("arguments", "more", "said"),
    [
        ((), {}, "would be .kubetune/volumes/models/base here, which does not exist; pass --volume models=DIR"),
        (("--volume", "models=nowhere"), {}, "no CLAIM=DIR with a directory that exists"),
        ((), {"model": "s3://b/m"}, "s3://b/m is not read from here; pass --model-config FILE"),
        ((), {"model": None}, "spec.model is not set (resumeFrom): pass --model-config FILE"),
        (("--model-config", "nowhere.json"), {}, "nowhere.json does not exist"),
        (("--model-config", "job.yaml"), {}, "cannot be read as JSON"),
        (("--model-config", "config.json", "--gpu-memory", "lots"), {}, "--gpu-memory lots: no size; write for instance 80Gi"),
        (("--model-config", "config.json", "--write-speed", "0"), {}, "--write-speed 0: not more than 0"),
        (("--model-config", "config.json"), {"nodes": 0}, "spec.nodes"),
    ],
)
def test_what_is_missing_is_told_with_what_to_pass(call, arguments: tuple[str, ...], more: dict[str, Any], said: str) -> None:
    result = call(*arguments, **more)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_model_of_an_unknown_family_asks_for_its_directory(call) -> None:
    Path("config.json").write_text(json.dumps(LLAMA_8B | {"model_type": "novel"}))
    assert "give --model-config the model's directory" in call("--model-config", "config.json").stderr


@pytest.mark.parametrize("reason", ["no library", "no answer"])
def test_a_model_on_the_hub_that_cannot_be_asked_for(call, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    if reason == "no library":
        monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    else:
        monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: exec("raise OSError('offline\\nmore')"))
    result = call(model="hf://org/m@main")
    assert result.exit_code == 2
    assert "hf://org/m@main" in result.stderr
    assert ("not installed" if reason == "no library" else "cannot be fetched (offline)") in result.stderr
    assert "pass --model-config FILE" in result.stderr


def test_a_model_on_the_hub_is_asked_for_at_its_revision(call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def download(repo: str, file: str, revision: str | None) -> str:
        asked.append((repo, file, revision))
        return "config.json"

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert call(model="hf://org/m@v1").exit_code == 0
    assert asked == [("org/m", "config.json", "v1")]


@pytest.mark.parametrize(
    ("text", "bytes_"), [("80Gi", 80 * 2**30), ("80G", 80 * 10**9), ("1.5Ti", 3 * 2**39), ("123", 123), (None, None)]
)
def test_sizes_are_kubernetes_quantities(text: str | None, bytes_: int | None) -> None:
    assert quantity("--gpu-memory", text) == bytes_


@pytest.mark.parametrize("text", ["80GB", "", "Gi", "-"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="no size"):
        quantity("--gpu-memory", text)
