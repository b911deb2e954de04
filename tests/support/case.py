"""What a case of the shared table is: an edit of the smallest job of its kind."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

ABSENT: Any = object()
"""As a value in an edit: the field is taken out."""

SMALLEST: dict[str, dict[str, Any]] = {
    "SFTJob": {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "SFTJob",
        "metadata": {"name": "teach"},
        "spec": {
            "model": {"uri": "hf://org/name"},
            "dataset": {"uri": "pvc://data/train.jsonl"},
            "output": {"uri": "pvc://runs"},
        },
    },
    "OSFTJob": {
        "apiVersion": "kubetune.dev/v1alpha1",
        "kind": "OSFTJob",
        "metadata": {"name": "teach"},
        "spec": {
            "model": {"uri": "hf://org/name@main"},
            "dataset": {"uri": "pvc://data/train.jsonl"},
            "output": {"uri": "pvc://runs"},
            "training": {
                "unfreezeRankRatio": 0.3,
                "effectiveBatchSize": 128,
                "maxTokensPerGpu": 8192,
                "maxSeqLen": 4096,
                "learningRate": 2.0e-5,
            },
        },
    },
}


@dataclass(frozen=True)
class Case:
    """`edit` maps dotted paths to values. `where` is the field that is complained of; None: the job is accepted."""

    name: str
    kind: str
    edit: dict[str, Any] = field(default_factory=dict)
    where: str | None = None
    says: str = ""

    @property
    def accepted(self) -> bool:
        return self.where is None

    def document(self) -> dict[str, Any]:
        return edited(SMALLEST[self.kind], self.edit)


def edited(base: dict[str, Any], edit: dict[str, Any]) -> dict[str, Any]:
    """A copy of `base` with the values at those paths; maps on the way are made where there are none."""
    document = copy.deepcopy(base)
    for path, value in edit.items():
        *parents, last = path.split(".")
        place = document
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is ABSENT:
            del place[last]
        else:
            place[last] = copy.deepcopy(value)
    return document


def sft(name: str, edit: dict[str, Any] | None = None, where: str | None = None, says: str = "") -> Case:
    return Case(f"sft-{name}", "SFTJob", edit or {}, where, says)


def osft(name: str, edit: dict[str, Any] | None = None, where: str | None = None, says: str = "") -> Case:
    return Case(f"osft-{name}", "OSFTJob", edit or {}, where, says)


T = "spec.training."
MOUNTED = {
    "spec.template.volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "runs"}}],
    "spec.template.volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
}


@dataclass(frozen=True)
class Change:
    """An edit of a job that has started. `refused`: the field of the spec that may not change, or None."""

    name: str
    kind: str
    edit: dict[str, Any]
    refused: str | None = None
    before: dict[str, Any] = field(default_factory=dict)

    def documents(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The job before and after."""
        old = edited(SMALLEST[self.kind], self.before)
        return old, edited(old, self.edit)
