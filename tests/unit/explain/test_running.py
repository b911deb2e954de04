from __future__ import annotations

from typing import Any

import pytest
from explained import ago, attempt, found, job, runs

from kubetune.explain import Finding, Severity


def running(step: int = 5, seconds: float = 10, **more: Any) -> dict[str, Any]:
    progress = {"step": step, "totalSteps": 10, "updatedTime": ago(seconds=seconds), "loss": 1.25, "etaSeconds": 600}
    return job("Running", reason="Running", **({"attempts": [attempt()], "progress": progress} | more))


def reasons(findings: list[Finding]) -> list[str]:
    return [each.reason for each in findings]


def test_a_job_that_trains_says_how_far_it_is() -> None:
    (only,) = found(running(), pods=[runs(30)])
    assert (only.severity, only.reason) == (Severity.FINE, "Running")
    assert only.title == "it trains: step 5 of 10, about 10 min left"
    assert only.evidence == ("last step 10 s ago, loss 1.25",)


@pytest.mark.parametrize(
    ("seconds", "limit", "severity"),
    [
        (600, None, None),
        (1200, None, Severity.SLOW),
        (3600, None, Severity.BLOCKED),
        (400, 300, Severity.BLOCKED),
        (1000, 3600, Severity.SLOW),
    ],
)
def test_no_step_for_too_long(seconds: float, limit: int | None, severity: Severity | None) -> None:
    policy = {"runPolicy": {"progressDeadlineSeconds": limit}} if limit else {}
    findings = [each for each in found(running(seconds=seconds, spec=policy)) if each.reason == "NoProgress"]
    assert [each.severity for each in findings] == ([severity] if severity else [])
    if findings:
        assert ("set runPolicy.progressDeadlineSeconds" in findings[0].remedy) == (limit is None)


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("computing SVD 12 of 210", "OSFT decomposes its matrices"),
        ("tokenising the data", "the data set is being tokenised"),
        ("fetching and checking the model and the data", "are fetched and checked"),
        ("starting the ranks and loading the model", "the ranks start"),
        (None, "no step was done yet"),
    ],
)
def test_what_comes_before_the_first_step_is_slow_after_a_while(stage: str | None, said: str) -> None:
    progress = {"step": 0, "stage": stage} if stage else None
    (short,) = found(running(progress=progress), pods=[runs(2)])
    assert (short.severity, short.reason) == (Severity.FINE, "Starting")
    (long,) = found(running(progress=progress), pods=[runs(40)])
    assert (long.severity, long.reason) == (Severity.SLOW, "SlowStart")
    assert said in long.title
    assert "40 min" in long.title
    if stage:
        assert long.evidence == (f"status.progress.stage: {stage}",)


def test_silence_of_an_account_that_may_not_report_is_told() -> None:
    spec = {"template": {"serviceAccountName": "mine"}}
    (only,) = found(running(progress=None, spec=spec), pods=[runs(40)])
    assert "no step was ever reported" in only.title
    assert "ClusterRole kubetune-trainer" in only.remedy


def test_the_progress_of_an_earlier_attempt_is_not_this_ones() -> None:
    later = running(attempts=[attempt(2, started=ago(seconds=5))], seconds=4000)
    assert reasons(found(later)) == ["Starting"]


def test_the_same_failure_again_and_again() -> None:
    ends = [attempt(n, ended=ago(minutes=n), reason="CudaOOM", message=f"m{n}", lastStep=7) for n in (1, 2, 3)]
    findings = found(running(attempts=[*ends, attempt(4)]))
    assert reasons(findings) == ["RepeatedFailure", "Running"]
    assert findings[0].title == "3 attempts ended as CudaOOM at the same step"
    assert findings[0].evidence == ("last steps of these attempts: 7, 7, 7", "the last one: m3")


@pytest.mark.parametrize(("training", "lost", "told"), [(200, 130, True), (2000, 130, False), (0, 1, False), (0, 0, False)])
def test_work_that_was_lost(training: int, lost: int, told: bool) -> None:
    goodput = {"queued": 1, "training": training, "lost": lost, "waiting": 2}
    assert ("LostWork" in reasons(found(running(goodput=goodput)))) == told


def test_a_finished_job_has_its_checkpoint() -> None:
    final = {"uri": "pvc://o/hf", "step": 10, "bytes": 1, "kind": "hf", "verified": True}
    done = job("Succeeded", finalCheckpoint=final, startTime=ago(hours=3), completionTime=ago(hours=1), restarts=1)
    (only,) = found(done)
    assert (only.severity, only.reason) == (Severity.FINE, "Succeeded")
    assert only.evidence == ("finalCheckpoint: pvc://o/hf, step 10, verified", "after 2.0 h, with 1 restarts")
