"""Jobs to estimate."""

from __future__ import annotations

from typing import Any

from kubetune.api import Job, parse_job

OSFT = {"unfreezeRankRatio": 0.3, "effectiveBatchSize": 128, "maxTokensPerGpu": 8192, "maxSeqLen": 4096, "learningRate": 2e-5}


def job(algorithm: str = "sft", training: dict[str, Any] | None = None, **spec: Any) -> Job:
    """A job by algorithm, parts of its training block and of its spec."""
    given = {
        "model": {"uri": "pvc://models/m"},
        "dataset": {"uri": "pvc://data/d.jsonl"},
        "output": {"uri": "pvc://runs"},
        "training": (OSFT if algorithm == "osft" else {}) | (training or {}),
        **spec,
    }
    kind = {"sft": "SFTJob", "osft": "OSFTJob"}[algorithm]
    return parse_job({"apiVersion": "kubetune.dev/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": given})
