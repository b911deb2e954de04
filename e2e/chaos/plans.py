"""What 200 users want, and how their pods fare: drawn from one seed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

Verdict = Literal["end", "oom", "killed", "user", "silent"]
"""How an attempt ends by itself: at its end; out of GPU memory; killed, no last words; a bad spec; exit code 0 and no outcome."""

SPEC: dict[str, Any] = {
    "model": {"uri": "/shared/model"},
    "dataset": {"uri": "/shared/train.jsonl"},
    "output": {"uri": "/shared/runs"},
    "device": "cpu",
    "template": {
        "volumes": [{"name": "shared", "nfs": {"server": "nfs.example", "path": "/shared"}}],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        "annotations": {"test/run-seconds": "24h"},
    },
}
OSFT = {"unfreezeRankRatio": 0.3, "effectiveBatchSize": 8, "maxTokensPerGpu": 256, "maxSeqLen": 128, "learningRate": 1e-4}

STORIES: tuple[tuple[str, int], ...] = (
    ("succeeds", 40), ("fails, then succeeds", 25), ("fails until the limit", 8), ("user error", 8), ("suspended", 10),
    ("deleted", 5), ("deleted and made again", 4),
)  # fmt: skip
"""With their weights."""


@dataclass(frozen=True)
class Plan:
    """One job. Times are seconds; `create` from the run's begin, all other from the creation."""

    name: str
    kind: Literal["SFTJob", "OSFTJob"]
    story: str
    nodes: int
    create: float
    limit: int
    verdicts: tuple[Verdict, ...]
    """By attempt; the last one holds for all later ones."""
    run: float
    """How long an attempt runs by itself."""
    at: float = 0.0
    """When it is suspended, or deleted."""
    back: float = 0.0
    """When it is resumed, or made again."""

    @property
    def plural(self) -> str:
        return f"{self.kind.lower()}s"

    def verdict(self, attempt: int) -> Verdict:
        return self.verdicts[min(attempt, len(self.verdicts)) - 1]

    def manifest(self, namespace: str) -> dict[str, Any]:
        training = {"training": OSFT} if self.kind == "OSFTJob" else {}
        policy = {"runPolicy": {"backoffLimit": self.limit, "terminationGracePeriodSeconds": 2}}
        return {
            "apiVersion": "kubetune.dev/v1alpha1",
            "kind": self.kind,
            "metadata": {"name": self.name, "namespace": namespace},
            "spec": {**SPEC, **training, **policy, "nodes": self.nodes},
        }


def plans(seed: int, count: int, seconds: float) -> tuple[Plan, ...]:
    """`count` jobs, created within the first four fifths of `seconds`; equal arguments give equal plans."""
    random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
    return tuple(_plan(random, number, seconds) for number in range(count))


def _plan(random: Random, number: int, seconds: float) -> Plan:
    (story,) = random.choices([name for name, _ in STORIES], [weight for _, weight in STORIES])
    longest = max(6.0, min(45.0, seconds / 8))
    run, at = random.uniform(3, longest), random.uniform(1, longest)
    return Plan(
        name=f"job-{number:03d}",
        kind=random.choice(("SFTJob", "SFTJob", "OSFTJob")),
        story=story,
        nodes=random.choice((1, 1, 2)),
        create=random.uniform(0, 0.8 * seconds),
        limit=random.randint(0, 2) if story == "fails until the limit" else random.choice((6, 10, 15)),
        verdicts=_verdicts(random, story),
        run=run,
        at=at,
        back=at + random.uniform(1, longest),
    )


def _verdicts(random: Random, story: str) -> tuple[Verdict, ...]:
    def fault() -> Verdict:
        return random.choice(("oom", "killed", "silent"))

    if story == "fails until the limit":
        return (fault(),)
    if story == "user error":
        return ("user",)
    failures = random.randint(1, 3) if story == "fails, then succeeds" else 0
    return (*(fault() for _ in range(failures)), "end")
