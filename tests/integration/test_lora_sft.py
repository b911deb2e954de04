"""The third algorithm on the embedded cluster: the example's PyTorchJob, as the training operator would run it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import until
from runs import DEADLINE

from kubetune.cluster import JOB_UID
from kubetune.local.cluster import LocalCluster
from kubetune.local.state import StateDir
from kubetune_trainer.checkpoints import check_manifest, read_manifest
from kubetune_trainer.contract import CONTRACT_ENV, Contract, Outcome, Report

EXAMPLE = Path(__file__).parents[2] / "examples" / "cpu" / "lora-sft-pytorchjob.yaml"


def contract_variable(manifest: dict[str, Any], role: str) -> dict[str, str]:
    container = manifest["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"]["containers"][0]
    return next(variable for variable in container["env"] if variable["name"] == CONTRACT_ENV)


def example(**changes: Any) -> dict[str, Any]:
    """The example with other fields of its contract; the two replicas' templates are one."""
    manifest: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text())))
    for role in ("Master", "Worker"):
        variable = contract_variable(manifest, role)
        variable["value"] = json.dumps(json.loads(variable["value"]) | changes)
    return manifest


def test_the_examples_contract_is_valid_on_both_nodes() -> None:
    manifest = example()
    for role in ("Master", "Worker"):
        contract = Contract.model_validate_json(contract_variable(manifest, role)["value"])
        assert (contract.algorithm, contract.nodes) == ("lora_sft", 2)
        assert contract.job.uid == manifest["metadata"]["labels"][JOB_UID]


def run(manifest: dict[str, Any], state: StateDir) -> tuple[list[dict[str, Any]], Outcome, Report]:
    """The pods once all have ended, and what the master said."""

    async def scenario() -> tuple[list[dict[str, Any]], Outcome, Report]:
        cluster = LocalCluster(state)
        try:
            await cluster.apply_pytorchjob(manifest)
            uid = manifest["metadata"]["labels"][JOB_UID]
            pods = await until(
                lambda: cluster.pods("default", uid),
                lambda seen: all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in seen),
                DEADLINE,
            )
            process = cluster.process(pods[0])
            outcome = Outcome.model_validate_json(process.termination_log.read_text())
            return pods, outcome, Report.model_validate_json(process.report_file.read_text())
        finally:
            await cluster.close(kill=True)

    return asyncio.run(scenario())


@pytest.mark.train
def test_the_example_trains_on_two_nodes(tiny_model: Path, tiny_data: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    places = {"model": str(tiny_model), "dataset": str(tiny_data), "output": str(tmp_path / "runs" / "lora-sft")}
    pods, outcome, report = run(example(**places), StateDir.create(tmp_path / "state"))
    assert [pod["status"]["phase"] for pod in pods] == ["Succeeded", "Succeeded"], outcome
    assert (outcome.reached_end, outcome.step, outcome.total_steps, outcome.exit_code) == (True, 18, 18, 0)
    assert outcome.checkpoint is not None
    assert outcome.checkpoint.uri == "pvc://runs/lora-sft/attempt-1/hf_format/samples_144_merged"
    merged = tmp_path / "runs" / "lora-sft" / "attempt-1" / "hf_format" / "samples_144_merged"
    assert check_manifest(merged) == []
    manifest = read_manifest(merged)
    assert (manifest.algorithm, manifest.backend, manifest.world_size, manifest.step) == ("lora_sft", "trl-peft", 2, 18)
    assert sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(merged).parameters()) == 124992
    assert report.progress is not None
    assert (report.progress.step, report.progress.percent) == (18, 100)
    assert {c.kind for c in report.checkpoints if c.verified} == {"adapter", "hf", "full-state"}
    lines = [(merged.parents[1] / f"training_metrics_{node}.jsonl").read_text().splitlines() for node in (0, 1)]
    losses = [[json.loads(line)["loss"] for line in node] for node in lines]
    assert losses[0] == losses[1]  # each node logs the same steps into a file of its own
    assert losses[0][-1] < losses[0][0]
