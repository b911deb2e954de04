"""lora_sft on SmolLM2: by library, by entrypoint, on two nodes of the embedded cluster. All roads must end at one model."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".kubetune" / "lora"
DATA = ROOT / "examples" / "demo" / "train.jsonl"
EXAMPLE = ROOT / "examples" / "cpu" / "lora-sft-pytorchjob.yaml"
TRAINING = {
    "lora_r": 16,
    "effective_batch_size": 4,
    "num_epochs": 3,
    "max_seq_len": 256,
    "max_tokens_per_gpu": 512,
    "learning_rate": 1e-3,
    "merge_adapter": True,
}
NEAR = 1e-2  # of how far training moved the weights: two nodes sum gradients in another order


@dataclass(frozen=True)
class Road:
    """Where one of them ended."""

    name: str
    steps: int
    losses: tuple[float, ...]
    adapter: Path
    merged: Path
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.lora", description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="model, checkpoints and logs, which stay")
    folder = parser.parse_args().folder.resolve()
    os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    sys.path.insert(0, str(ROOT / "examples" / "demo"))
    from smollm2 import convert  # type: ignore[import-not-found]  # the demo's own

    model = convert(ROOT / ".kubetune" / "marathon" / "models" / "SmolLM2-135M-Instruct")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    roads = [walk(name, road, model, folder / name) for name, road in ROADS.items()]
    first = roads[0]
    rows = [row(first, road, model) for road in roads]
    print("| by | ranks | steps | losses | adapter | seconds | weights, beside the library's |\n|---|---|---|---|---|---|---|")
    print("\n".join(text for text, _ in rows))
    return 0 if all(good for _, good in rows) else 1


def walk(name: str, road: Callable[[Path, Path], int], model: Path, folder: Path) -> Road:
    """Trains, and reads what is on disk: the same files whoever trained."""
    from kubetune_trainer.checkpoints import check_manifest

    print(f"==> {name}", file=sys.stderr, flush=True)
    folder.mkdir()
    began = time.monotonic()
    road(model, folder)
    seconds = time.monotonic() - began
    (metrics,) = folder.rglob("training_metrics_0.jsonl")
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    (merged,) = folder.rglob("samples_*_merged")
    adapter = merged.with_name(merged.name.removesuffix("_merged"))
    for checkpoint in (adapter, merged):
        if problems := check_manifest(checkpoint):
            sys.exit(f"{checkpoint}: {problems}")
    return Road(name, lines[-1]["step"], tuple(line["loss"] for line in lines), adapter, merged, seconds)


def by_library(model: Path, folder: Path) -> int:
    from kubetune_trainer import lora_sft

    return int(lora_sft(str(model), str(DATA), str(folder / "run"), **TRAINING, device="cpu").step)


def by_entrypoint(model: Path, folder: Path) -> int:
    contract = contract_of(example(), "Master") | {"nodes": 1} | places(model, folder)
    environment = {**os.environ, "KUBETUNE_CONTRACT": json.dumps(contract)}
    environment["KUBETUNE_TERMINATION_LOG"] = str(folder / "outcome.json")
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "kubetune_trainer.entrypoint"]
        subprocess.run(command, env=environment, stdout=log, stderr=log, check=True)
    return int(json.loads((folder / "outcome.json").read_text())["step"])


def on_the_embedded_cluster(model: Path, folder: Path) -> int:
    """The example's PyTorchJob, on two nodes."""
    from kubetune.cluster import JOB_UID
    from kubetune.local.cluster import LocalCluster
    from kubetune.local.state import StateDir

    manifest = example()
    for role in ("Master", "Worker"):
        variable(manifest, role)["value"] = json.dumps(contract_of(manifest, role) | places(model, folder))

    async def scenario() -> list[str]:
        cluster = LocalCluster(StateDir.create(folder / "state"))
        try:
            await cluster.apply_pytorchjob(manifest)
            while True:
                pods = await cluster.pods("default", manifest["metadata"]["labels"][JOB_UID])
                phases = [pod["status"]["phase"] for pod in pods]
                if phases and all(phase in ("Succeeded", "Failed") for phase in phases):
                    return phases
                await asyncio.sleep(0.2)
        finally:
            await cluster.close(kill=True)

    phases = asyncio.run(scenario())
    if phases != ["Succeeded", "Succeeded"]:
        sys.exit(f"the pods ended as {phases}: see {folder}/state")
    return len(phases)


ROADS = {"library": by_library, "entrypoint": by_entrypoint, "embedded cluster": on_the_embedded_cluster}
RANKS = {"library": 1, "entrypoint": 1, "embedded cluster": 2}


def example() -> dict[str, Any]:
    """The two replicas' templates are one in YAML, and two here."""
    return dict(json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text()))))


def variable(manifest: dict[str, Any], role: str) -> dict[str, str]:
    container = manifest["spec"]["pytorchReplicaSpecs"][role]["template"]["spec"]["containers"][0]
    return next(each for each in container["env"] if each["name"] == "KUBETUNE_CONTRACT")


def contract_of(manifest: dict[str, Any], role: str) -> dict[str, Any]:
    return dict(json.loads(variable(manifest, role)["value"]))


def places(model: Path, folder: Path) -> dict[str, Any]:
    return {"model": str(model), "dataset": str(DATA), "output": str(folder / "run"), "training": TRAINING}


def row(first: Road, road: Road, model: Path) -> tuple[str, bool]:
    """A line of the table; False: it is not what the library trained, or nothing was learned."""
    equal, apart = beside(first.merged, road.merged, model)
    good = apart < NEAR and road.steps == first.steps and road.losses[-1] < road.losses[0] / 2
    told = "all tensors bit-equal" if equal else f"{apart:.1e} of how far training moved them away"
    size = sum(file.stat().st_size for file in road.adapter.iterdir() if file.suffix == ".safetensors") / 1e6
    losses = f"{road.losses[0]:.3f} to {road.losses[-1]:.3f}"
    return f"| {road.name} | {RANKS[road.name]} | {road.steps} | {losses} | {size:.1f} MB | {road.seconds:.0f} | {told} |", good


def beside(first: Path, other: Path, model: Path) -> tuple[bool, float]:
    """Whether all weights are bit-equal; and ||first - other|| over ||first - base||."""
    import torch
    from safetensors.torch import load_file

    one, two, base = (load_file(folder / "model.safetensors") for folder in (first, other, model))
    if one.keys() != two.keys():
        return False, float("inf")
    equal = all(torch.equal(one[name], two[name]) for name in one)
    apart, moved = (sum(float((one[n] - side[n]).square().sum()) for n in one) for side in (two, base))
    return equal, (apart / moved) ** 0.5


if __name__ == "__main__":
    sys.exit(main())
