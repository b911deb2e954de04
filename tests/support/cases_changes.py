"""Changes of a job that has started: what may change and what may not."""

from __future__ import annotations

from case import ABSENT, Change, T

CHANGES = [
    Change("suspend", "OSFTJob", {"spec.runPolicy": {"suspend": True, "backoffLimit": 9}}),
    Change("image", "OSFTJob", {"spec.image": "trainer:2"}),
    Change("template", "OSFTJob", {"spec.template": {"nodeSelector": {"a": "b"}}}),
    Change("secret", "OSFTJob", {"spec.model.secretRef": {"name": "new"}}),
    Change("memory", "OSFTJob", {"spec.resources": {"limits": {"memory": "1Gi"}}}),
    Change(
        "defaults-spelt-out",
        "OSFTJob",
        {"spec.nodes": 1, "spec.procsPerNode": 1, "spec.device": "gpu", "spec.backend": "mini-trainer"},
    ),
    Change("format-spelt-out", "OSFTJob", {"spec.dataset.format": "messages"}),
    Change("empty-training", "SFTJob", {"spec.training": {}}),
    Change("training-taken-out", "SFTJob", {"spec.training": ABSENT}, before={"spec.training": {}}),
    Change("procs-from-gpus", "SFTJob", {"spec.resources": {"limits": {"nvidia.com/gpu": "2"}}}, before={"spec.procsPerNode": 2}),
    Change(
        "reference-spelt-out",
        "SFTJob",
        {"spec.resumeFrom.jobRef.kind": "SFTJob"},
        before={"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"name": "a"}}},
    ),
    Change("rate", "OSFTJob", {T + "learningRate": 1e-6}, "training"),
    Change("one-more-parameter", "OSFTJob", {T + "seed": 1}, "training"),
    Change("one-parameter-less", "OSFTJob", {T + "seed": ABSENT}, "training", before={T + "seed": 1}),
    Change(
        "schedule", "OSFTJob", {T + "lrSchedulerKwargs": {"min_lr": 2}}, "training", before={T + "lrSchedulerKwargs": {"min_lr": 1}}
    ),
    Change("first-parameter", "SFTJob", {T + "seed": 1}, "training"),
    Change("last-parameter", "SFTJob", {"spec.training": ABSENT}, "training", before={T + "seed": 1}),
    Change("model", "SFTJob", {"spec.model.uri": "hf://org/other"}, "model"),
    Change("dataset", "SFTJob", {"spec.dataset.uri": "pvc://data/other.jsonl"}, "dataset"),
    Change("format", "SFTJob", {"spec.dataset.format": "processed"}, "dataset"),
    Change("output", "SFTJob", {"spec.output.uri": "pvc://elsewhere"}, "output"),
    Change("nodes", "SFTJob", {"spec.nodes": 2}, "nodes"),
    Change("procs", "SFTJob", {"spec.procsPerNode": 2}, "procsPerNode"),
    Change("gpus", "SFTJob", {"spec.resources": {"limits": {"nvidia.com/gpu": 2}}}, "procsPerNode"),
    Change("device", "SFTJob", {"spec.device": "cpu"}, "device"),
    Change(
        "other-checkpoint",
        "SFTJob",
        {"spec.resumeFrom.uri": "pvc://a/c"},
        "resumeFrom",
        before={"spec.model": ABSENT, "spec.resumeFrom": {"uri": "pvc://a/b"}},
    ),
    Change(
        "other-job",
        "SFTJob",
        {"spec.resumeFrom.jobRef.kind": "OSFTJob"},
        "resumeFrom",
        before={"spec.model": ABSENT, "spec.resumeFrom": {"jobRef": {"name": "a"}}},
    ),
]
