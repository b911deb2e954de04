"""A training on real nodes that something befalls: how far it was, when it went on, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from real_cluster import Job, Manifest
from scenario_records import Scenario
from waiting import until

from kubetune.report.metrics import read_steps
from kubetune.report.sources import METRICS, text_of
from kubetune_trainer.checkpoints.verify import verify_hf

PATIENCE = 600
"""Seconds that a part of a scenario may take: two cores start two torches at once."""

EPOCH = 6
"""Steps of the tiny data set at a batch of eight; a full state is saved after each."""


@dataclass(frozen=True)
class Training:
    """A job, and the folder of its namespace's claims on this machine."""

    job: Job
    volumes: Path

    @property
    def folder(self) -> Path:
        """The job's own directory of its output."""
        (found,) = (self.volumes / "runs").glob(f"{self.job.namespace.name}-{self.job.name}-*")
        return found

    def steps(self, attempt: int) -> Sequence[int]:
        """Those that the attempt logged, in the volume: the status hears of some only."""
        files = (self.folder / f"attempt-{attempt}" / name for name in METRICS)
        return [each.step for file in files for each in read_steps(text_of(file))]

    def last_step(self, attempt: int) -> int:
        return max(self.steps(attempt), default=0)

    def lost(self, attempt: int) -> int:
        """Steps of that attempt which the next one did again."""
        return max(0, self.last_step(attempt) - (self.steps(attempt + 1)[0] - 1))

    def wait_for_state(self, attempt: int = 1) -> None:
        """Until the status tells of a verified full state that this attempt wrote."""
        until(lambda: self._has_state(attempt), "a verified state", seconds=PATIENCE, evidence=self.job.evidence)

    def _has_state(self, attempt: int) -> bool:
        states = [each for each in self.job.status.get("checkpoints") or [] if each["kind"] == "full-state" and each["verified"]]
        return any(f"/attempt-{attempt}/" in each["uri"] for each in states)

    def seconds_to_next_step(self, since: datetime, attempt: int = 2) -> float:
        """From that moment to the first step that the attempt logs."""
        until(lambda: self.steps(attempt), f"a step of attempt {attempt}", seconds=PATIENCE, evidence=self.job.evidence)
        return (now() - since).total_seconds()

    def succeeds(self, attempts: int = 1) -> Manifest:
        """The final status: it tells of a final checkpoint, which is there, whole."""
        status = self.job.wait("Succeeded", "Failed", seconds=PATIENCE)
        assert status["phase"] == "Succeeded", self.job.evidence()
        assert len(status["attempts"]) == attempts, status["attempts"]
        assert status["progress"]["step"] == status["progress"]["totalSteps"] == status["finalCheckpoint"]["step"]
        assert verify_hf(self.checkpoint, self.volumes / "data/tiny-llama") == []
        return status

    @property
    def checkpoint(self) -> Path:
        """Of the last step: pvc://claim/path is a folder of this machine."""
        return self.volumes / str(self.job.status["finalCheckpoint"]["uri"]).removeprefix("pvc://")

    def scenario(self, name: str, done: str, *, seconds: float | None = None, said: str = "") -> Scenario:
        """Of the job that has ended: by default with what the first attempt's end was called."""
        attempts = self.job.attempts
        first = attempts[0]
        losses = [self.lost(each["number"]) for each in attempts[:-1]]
        return Scenario(name, done, said or f"{first['reason']}: {first['message']}", len(attempts), sum(losses), seconds)


def now() -> datetime:
    return datetime.now(UTC)
