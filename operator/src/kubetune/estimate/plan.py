"""What of a job the figures depend on, defaults filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubetune.api import Job
from kubetune.api.identity import procs_per_node
from kubetune.api.spec import OSFTJobSpec
from kubetune.estimate.osft import Factored, of_model
from kubetune.estimate.shape import ModelShape

Sharding = Literal["full", "hybrid"]
MB, GB = 10**6, 10**9


@dataclass(frozen=True)
class Assumptions:
    """What nobody can read out of a job."""

    gpu_memory: int | None = None
    """Bytes of one GPU; None: not asked about."""

    write_speed: tuple[float, float] = (200 * MB, 2 * GB)
    """Bytes a second that the output's disk takes, at worst and at best."""

    sharding: Sharding = "full"


@dataclass(frozen=True)
class Plan:
    """A job as the estimate sees it."""

    algorithm: str
    nodes: int
    procs: int
    device: str
    max_tokens: int
    max_seq_len: int
    batch: int
    epochs: int
    liger: bool
    factored: Factored | None
    """OSFT alone."""

    weights_every_epoch: bool
    keep_states: int
    keep_weights: int | None
    saves_states: bool
    saves_on_preemption: bool
    grace_seconds: int

    @property
    def ranks(self) -> int:
        return self.nodes * self.procs

    @property
    def tokens_of_a_step(self) -> int:
        """The most tokens that one rank can have to itself in a step."""
        return max(1, -(-self.batch // self.ranks)) * self.max_seq_len

    def shards(self, sharding: Sharding) -> int:
        """Over how many ranks one copy of the parameters is spread."""
        return self.ranks if sharding == "full" else self.procs


def plan_of(job: Job, shape: ModelShape) -> Plan:
    """The job with the defaults that hold for this model."""
    spec, training = job.spec, job.spec.training
    lengths = training.filled(shape.max_positions)
    osft = isinstance(spec, OSFTJobSpec)
    states = spec.checkpoint
    return Plan(
        algorithm=job.algorithm,
        nodes=spec.nodes,
        procs=procs_per_node(job),
        device=spec.device,
        max_tokens=lengths["max_tokens_per_gpu"],
        max_seq_len=lengths["max_seq_len"],
        batch=lengths["effective_batch_size"],
        epochs=training.num_epochs or 1,
        liger=bool(training.use_liger) and spec.device == "gpu",
        factored=of_model(shape, spec.training.target_patterns, spec.training.unfreeze_rank_ratio)
        if isinstance(spec, OSFTJobSpec)
        else None,
        weights_every_epoch=bool(training.checkpoint_at_epoch) if osft else training.checkpoint_at_epoch is not False,
        keep_states=states.effective_keep,
        keep_weights=states.keep_weights,
        saves_states=states.effective_every_epoch or bool(states.every_steps or states.every_minutes),
        saves_on_preemption=states.on_preemption is not False,
        grace_seconds=spec.run_policy.effective_termination_grace_period_seconds,
    )
