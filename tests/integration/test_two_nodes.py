"""Two nodes train one model together: what comes out is what one process with the same global batch gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runs import Ended, Workspace
from tiny import write_messages

pytestmark = pytest.mark.train

EXAMPLES = Path(__file__).parents[2] / "examples" / "cpu"


def difference(one: Path, other: Path) -> float:
    """||a - b|| / ||a|| over all weights of two checkpoints."""
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    squared = sum(float((a[name].double() - b[name].double()).square().sum()) for name in a)
    return (squared / sum(float(a[name].double().square().sum()) for name in a)) ** 0.5


def minibatches(workspace: Workspace, resource: dict[str, Any], node: int) -> set[int]:
    """How many mini-batches the node's rank computed in each step of eight samples over all ranks."""
    if resource["kind"] == "SFTJob":
        steps = workspace.metrics(resource, f"training_params_and_metrics_global{node}.jsonl")
        assert {(step["rank"], step["batch_size"]) for step in steps} == {(node, 8)}
        return {step["num_minibatches"] for step in steps}
    steps = workspace.metrics(resource, f"training_metrics_{node}.jsonl")
    assert {step["num_samples"] for step in steps} == {8.0}
    return {step["grad_accum"] for step in steps}


def weights(checkpoint: Path) -> dict[str, Any]:
    """Without the rotary embedding's frequencies: buffers that mini-trainer saves and transformers computes from the config."""
    from safetensors.torch import load_file

    return {name: value for name, value in load_file(checkpoint / "model.safetensors").items() if not name.endswith("inv_freq")}


def succeeded(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.stderr[-4000:]
    return ended.resource


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_weights_equal_those_of_one_process(workspace: Workspace, kind: str) -> None:
    training = {"numEpochs": 2, "seed": 7}
    two = succeeded(workspace.run(workspace.job(kind, "two", nodes=2, training=training), "-o", "json"))
    one = succeeded(workspace.run(workspace.job(kind, "one", nodes=1, training=training), "-o", "json"))

    assert two["status"]["progress"]["step"] == one["status"]["progress"]["step"] == 12
    assert minibatches(workspace, two, node=0) == minibatches(workspace, two, node=1) == {1}  # half a batch each:
    assert minibatches(workspace, one, node=0) == {2}  # the same eight samples are two mini-batches of one process
    assert difference(workspace.model, workspace.checkpoint(one)) > 0.01  # it learned
    assert difference(workspace.checkpoint(one), workspace.checkpoint(two)) < 1e-3


@pytest.mark.parametrize("example", ["sft-two-nodes", "osft-two-nodes"])
def test_the_example_succeeds_and_both_nodes_trained(workspace: Workspace, example: str, tmp_path: Path) -> None:
    tiny = tmp_path / "tiny"
    tiny.mkdir()
    (tiny / "tiny-llama").symlink_to(workspace.model)
    write_messages(tiny / "train.jsonl")
    ended = workspace.kubetune(
        "run", str(EXAMPLES / f"{example}.yaml"), "--state-dir", str(workspace.state), "--volume", f"tiny={tiny}", "-o", "json"
    )

    resource = succeeded(ended)
    status = resource["status"]
    assert status["phase"] == "Succeeded"
    assert status["progress"]["step"] == status["progress"]["totalSteps"] == 18
    assert status["finalCheckpoint"]["verified"] is True
    pods = [workspace.pod(f"{resource['status']['attempts'][0]['pyTorchJob']}-{role}-0") for role in ("master", "worker")]
    assert [pod["status"]["phase"] for pod in pods] == ["Succeeded", "Succeeded"]

    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(workspace.checkpoint(resource))
    assert sum(p.numel() for p in model.parameters()) == 124992
    assert (workspace.checkpoint(resource) / "kubetune-manifest.json").exists()
    assert json.loads((workspace.checkpoint(resource) / "config.json").read_text())["model_type"] == "llama"
