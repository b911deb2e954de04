"""All figures of one job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kubetune.api import Job
from kubetune.estimate.figures import BASES, Figure
from kubetune.estimate.fit import Fit, fit
from kubetune.estimate.host import host
from kubetune.estimate.memory import CUDA, moments, peak
from kubetune.estimate.plan import Assumptions, Plan, plan_of
from kubetune.estimate.shape import ModelShape
from kubetune.estimate.storage import storage
from kubetune.estimate.times import grace, times


@dataclass(frozen=True)
class Estimate:
    """What a job needs, by what it is needed of."""

    shape: ModelShape
    plan: Plan
    moments: dict[str, list[Figure]]
    peak: Figure
    host: list[Figure]
    storage: list[Figure]
    times: list[Figure]
    grace: tuple[str, str]
    fit: Fit | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": {
                "architecture": self.shape.architecture,
                "parameters": self.shape.parameters,
                "shapesFrom": self.shape.origin,
            },
            "ranks": self.plan.ranks,
            "maxTokensPerGpu": self.plan.max_tokens,
            "memoryPerGpu": {name: [each.to_dict() for each in parts] for name, parts in self.moments.items()},
            "peakPerGpu": self.peak.to_dict(),
            "memoryPerNode": [each.to_dict() for each in self.host],
            "disk": [each.to_dict() for each in self.storage],
            "time": [each.to_dict() for each in self.times],
            "gracePeriod": {"suffices": self.grace[0], "why": self.grace[1]},
            "fit": self.fit.to_dict() if self.fit else None,
            "suggestedMaxTokensPerGpu": self.fit.suggested if self.fit else None,
            "notes": self.notes,
            "bases": dict(BASES),
        }


def estimate(job: Job, shape: ModelShape, assumed: Assumptions) -> Estimate:
    """The figures of a valid job with a model of that shape."""
    plan = plan_of(job, shape)
    of_moments = moments(shape, plan, plan.max_tokens, assumed.sharding)
    if plan.device == "cpu":
        of_moments = {name: [each for each in parts if each is not CUDA] for name, parts in of_moments.items()}
    seconds = times(shape, plan, assumed)
    return Estimate(
        shape,
        plan,
        of_moments,
        peak(of_moments),
        host(shape, plan),
        storage(shape, plan),
        seconds,
        grace(plan, seconds),
        fit(shape, plan, assumed, assumed.gpu_memory) if assumed.gpu_memory and plan.device == "gpu" else None,
        list(notes(plan, assumed)),
    )


def notes(plan: Plan, assumed: Assumptions) -> list[str]:
    """What the reader would otherwise take for more than it is."""
    said = ["Nothing here was measured on a GPU: activations and what is gathered in passing are worked out, not seen."]
    if plan.device == "cpu":
        said.append("device is cpu: what is told of a GPU is the process's own main memory, on top of the node's.")
    if assumed.sharding == "hybrid":
        said.append("kubetune always sets FULL_SHARD; HYBRID_SHARD is what instructlab-training alone would do on several nodes.")
    if plan.max_tokens > plan.tokens_of_a_step:
        said.append(
            f"A rank has at most {plan.tokens_of_a_step} tokens a step (effectiveBatchSize x maxSeqLen / ranks): more is of no use."
        )
    return said
