"""Two nodes train one model together: what comes out is what one process with the same global batch gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs import Ended, Workspace
from tiny import write_documents, write_messages
from weights import difference

pytestmark = pytest.mark.train

EXAMPLES = Path(__file__).parents[2] / "examples" / "cpu"


def minibatches(workspace: Workspace, resource: dict[str, Any], node: int) -> set[int]:
    """How many mini-batches the node's rank computed in each step of eight samples over all ranks."""
    if resource["kind"] == "SFTJob":
        steps = workspace.metrics(resource, f"training_params_and_metrics_global{node}.jsonl")
        assert {(step["rank"], step["batch_size"]) for step in steps} == {(node, 8)}
        return {step["num_minibatches"] for step in steps}
    steps = workspace.metrics(resource, f"training_metrics_{node}.jsonl")
    assert {step["num_samples"] for step in steps} == {8.0}
    return {step["grad_accum"] for step in steps}


def losses(workspace: Workspace, resource: dict[str, Any], node: int) -> list[float]:
    name, key = {
        "SFTJob": (f"training_params_and_metrics_global{node}.jsonl", "avg_loss"),
        "OSFTJob": (f"training_metrics_{node}.jsonl", "loss"),
    }[resource["kind"]]
    return [step[key] for step in workspace.metrics(resource, name)]


def succeeded(ended: Ended) -> dict[str, Any]:
    assert ended.code == 0, ended.stderr[-4000:]
    return ended.resource


@pytest.fixture
def tiny_claim(workspace: Workspace) -> Path:
    """What the examples' comments say to make, from the session's model."""
    tiny = workspace.root / "tiny"
    tiny.mkdir()
    (tiny / "tiny-llama").symlink_to(workspace.model)
    write_messages(tiny / "train.jsonl")
    write_documents(tiny / "documents.jsonl")
    return tiny


@pytest.mark.parametrize("example", ["sft-two-nodes", "osft-two-nodes"])
def test_the_example_trains_on_both_nodes_what_one_process_trains(workspace: Workspace, tiny_claim: Path, example: str) -> None:
    def run(file: Path) -> dict[str, Any]:
        state = str(workspace.state)
        return succeeded(workspace.kubetune("run", str(file), "--state-dir", state, "--volume", f"tiny={tiny_claim}", "-o", "json"))

    document = yaml.safe_load((EXAMPLES / f"{example}.yaml").read_text())
    two = run(EXAMPLES / f"{example}.yaml")
    one = run(workspace.write(document | {"metadata": {"name": "one"}, "spec": document["spec"] | {"nodes": 1}}))

    assert two["status"]["progress"]["step"] == two["status"]["progress"]["totalSteps"] == 18
    pods = [workspace.pod(f"{two['status']['attempts'][0]['pyTorchJob']}-{role}-0") for role in ("master", "worker")]
    assert [pod["status"]["phase"] for pod in pods] == ["Succeeded", "Succeeded"]
    assert minibatches(workspace, two, node=0) == minibatches(workspace, two, node=1) == {1}  # half a batch each:
    assert minibatches(workspace, one, node=0) == {2}  # the same eight samples are two mini-batches of one process
    # each node logs the same steps into a file of its own
    assert (
        losses(workspace, two, node=0) == losses(workspace, two, node=1) == pytest.approx(losses(workspace, one, node=0), rel=1e-3)
    )
    assert difference(workspace.model, workspace.checkpoint(one)) > 0.01  # it learned
    assert difference(workspace.checkpoint(one), workspace.checkpoint(two)) < 1e-3
    opens_in_transformers(workspace, two)


def opens_in_transformers(workspace: Workspace, resource: dict[str, Any]) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(workspace.checkpoint(resource))
    assert sum(p.numel() for p in model.parameters()) == 124992
    manifest = json.loads((workspace.checkpoint(resource) / "kubetune-manifest.json").read_text())
    assert manifest["job"]["uid"] == resource["metadata"]["uid"]
    assert resource["status"]["finalCheckpoint"]["verified"] is True


@pytest.mark.parametrize("kind", ["SFTJob", "OSFTJob"])
def test_documents_are_trained_on(workspace: Workspace, tiny_claim: Path, kind: str) -> None:
    document = yaml.safe_load((EXAMPLES / "sft-documents.yaml").read_text())
    more = {"unfreezeRankRatio": 0.5, "maxTokensPerGpu": 64} if kind == "OSFTJob" else {}
    spec = document["spec"] | {"training": document["spec"]["training"] | more}
    file = workspace.write(document | {"kind": kind, "spec": spec})
    resource = succeeded(
        workspace.kubetune("run", str(file), "--state-dir", str(workspace.state), "--volume", f"tiny={tiny_claim}", "-o", "json")
    )

    attempt = workspace.checkpoint(resource).parents[1]
    report = json.loads((attempt / "data" / "node-0" / "data-report.json").read_text())
    assert report["rows"] == 48
    assert report["longest"] == 64
    assert report["tokens_in_loss"] == report["tokens"] - report["kept"]  # all but each sample's first token
    assert resource["status"]["progress"]["step"] == 3 * -(-report["kept"] // 4)
    assert (attempt.parent / "data-cache").is_dir()
    assert difference(workspace.model, workspace.checkpoint(resource)) > 0.01
