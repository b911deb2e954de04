from collections.abc import Callable
from typing import Any

import pytest

from kubetune.api import Job, parse_job
from kubetune.render import AttemptPlan, RenderSettings, render_pytorchjob
from kubetune_trainer.contract import CONTRACT_ENV, Contract

UID = "8a1f6c02-4f0e-4f7b-9d55-0c8c7a3a5e11"
FIRST = AttemptPlan(number=1)
OSFT = {"unfreezeRankRatio": 0.3, "effectiveBatchSize": 8, "maxTokensPerGpu": 512, "maxSeqLen": 256, "learningRate": 1e-5}


@pytest.fixture
def make_job() -> Callable[..., Job]:
    """make_job(**spec fields, kind="SFTJob", name="j"): the smallest job with these fields of the spec instead."""

    def make(kind: str = "SFTJob", name: str = "j", **spec: Any) -> Job:
        base: dict[str, Any] = {
            "model": {"uri": "hf://org/name@main"},
            "dataset": {"uri": "pvc://data/train.jsonl"},
            "output": {"uri": "pvc://runs"},
        }
        if kind == "OSFTJob":
            base["training"] = OSFT
        metadata = {"name": name, "namespace": "lab", "uid": UID}
        return parse_job(
            {
                "apiVersion": "kubetune.dev/v1alpha1",
                "kind": kind,
                "metadata": metadata,
                "spec": {key: value for key, value in (base | spec).items() if value is not None},
            }
        )

    return make


@pytest.fixture
def settings() -> RenderSettings:
    return RenderSettings(image="registry.example/kubetune-trainer:1")


class Rendered:
    """A rendered manifest, with the parts that tests ask for by name."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.manifest = manifest
        self.spec = manifest["spec"]
        self.replicas = self.spec["pytorchReplicaSpecs"]
        self.template = self.replicas["Master"]["template"]
        self.pod = self.template["spec"]
        (self.container,) = self.pod["containers"]
        self.env = {each["name"]: each.get("value") for each in self.container["env"]}
        self.contract = Contract.model_validate_json(self.env[CONTRACT_ENV])
        self.volumes = {each["name"]: each for each in self.pod["volumes"]}
        self.mounts = {each["mountPath"]: each for each in self.container["volumeMounts"]}

    def mounted(self, path: str) -> dict[str, Any]:
        """The volume that the trainer sees at that path."""
        return self.volumes[self.mounts[path]["name"]]


@pytest.fixture
def render(make_job: Callable[..., Job], settings: RenderSettings) -> Callable[..., Rendered]:
    """render(attempt=AttemptPlan(...), settings=..., **as make_job)"""

    def rendered(attempt: AttemptPlan = FIRST, settings: RenderSettings = settings, **job: Any) -> Rendered:
        return Rendered(render_pytorchjob(make_job(**job), attempt, settings))

    return rendered
