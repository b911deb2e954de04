from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kubetune.api.status import Attempt, JobStatus
from kubetune.display.news import clock, figures, news, size, step_line
from kubetune_trainer.contract import Checkpoint, Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def attempt(number: int = 1, **values) -> Attempt:
    return Attempt(number=number, py_torch_job=f"a-sft-{number}", started=NOW, **values)


def checkpoint(kind: str = "full-state", verified: bool = True) -> Checkpoint:
    return Checkpoint(uri="pvc://runs/x", step=6, bytes=1_500_000, kind=kind, verified=verified)


def told(before: JobStatus, after: JobStatus) -> list[tuple[str, str]]:
    lines = news(before, after, lambda uri: uri.replace("pvc://", "/here/"), lambda name: f"/logs/{name}")
    return [(line.tone, line.text) for line in lines]


def test_each_thing_is_told_once() -> None:
    first = JobStatus(attempts=(attempt(),), checkpoints=(checkpoint(),))
    assert told(JobStatus(), first) == [
        ("good", "training state of step 6 verified (1.5 MB)"),
        ("plain", "attempt 1 started; its log: /logs/a-sft-1"),
    ]
    assert told(first, first) == []


def test_a_failure_and_what_follows_it() -> None:
    before = JobStatus(attempts=(attempt(),))
    failed = attempt(ended=NOW, reason="HostOOM", message="rank 1 was killed", last_step=7)
    after = JobStatus(attempts=(failed, attempt(2, resumed_from="pvc://runs/x")))
    assert told(before, after) == [
        ("bad", "attempt 1 failed at step 7 (HostOOM): rank 1 was killed"),
        ("plain", "attempt 2 started; its log: /logs/a-sft-2"),
        ("plain", "attempt 2 goes on from /here/runs/x"),
    ]


@pytest.mark.parametrize("reason", ["Succeeded", "Suspended"])
def test_an_end_that_is_no_failure_is_left_to_the_summary(reason: str) -> None:
    assert told(JobStatus(attempts=(attempt(),)), JobStatus(attempts=(attempt(ended=NOW, reason=reason),))) == []


@pytest.mark.parametrize("kind", ["hf", "adapter"])
def test_weights_are_told_with_their_place(kind: str) -> None:
    assert told(JobStatus(), JobStatus(checkpoints=(checkpoint(kind),))) == [
        ("good", "checkpoint of step 6 verified (1.5 MB): /here/runs/x")
    ]


def test_a_checkpoint_that_does_not_verify_is_told_as_bad() -> None:
    ((tone, text),) = told(JobStatus(), JobStatus(checkpoints=(checkpoint("hf", verified=False),)))
    assert tone == "bad"
    assert text.startswith("checkpoint of step 6 could not be verified")


def test_a_step_in_one_line() -> None:
    progress = Progress(step=3, total_steps=18, loss=5.64712, tokens_per_second=1034.4, samples_per_second=9.0, eta_seconds=75)
    assert step_line(progress) == "step 3/18, loss 5.647, 1,034 tokens/s, ETA 1:15"
    assert step_line(Progress(step=3)) == "step 3"
    assert figures(Progress(step=3, samples_per_second=9.46), 3.2) == ["9.46 samples/s", "ETA 0:03"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (517_900, "518 kB"), (2_000_000, "2.0 MB"), (1.6e9, "1.6 GB"), (3e12, "3.0 TB")],
)
def test_sizes(count: float, text: str) -> None:
    assert size(int(count)) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (7, "0:07"), (75.4, "1:15"), (3723, "1:02:03"), (-3, "0:00")])
def test_clocks(seconds: float, text: str) -> None:
    assert clock(seconds) == text
