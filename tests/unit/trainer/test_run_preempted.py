"""A run that is told to end, by the same scripted backend."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from scripted import ScriptedBackend
from signal_handlers import kept_handlers
from waiting import until

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.contract import CheckpointPolicy, FailureClass, Report
from kubetune_trainer.errors import TrainingError
from kubetune_trainer.preemption import GracefulStop, Terminated
from kubetune_trainer.run import RunFailedError, run_training


def test_termination_tells_how_far_it_came(plan_of: Any):
    """Raised out of the backend, as by the signal's handler."""
    reports: list[Report] = []

    def at(step: int) -> None:
        if step == 8:
            until(
                lambda: reports and len(reports[-1].checkpoints) == 2 and reports[-1].progress.step == 8, "the run comes that far"
            )
            raise Terminated

    with pytest.raises(Terminated) as caught:
        run_training(plan_of(ScriptedBackend(on_step=at), report=reports.append))

    outcome = caught.value.outcome
    assert outcome is not None
    assert (outcome.failure, outcome.exit_code, outcome.step, outcome.total_steps) == (FailureClass.PREEMPTED, 143, 8, 10)
    assert "the last verified checkpoint is pvc://runs/job/attempt-1/hf_format/samples_40 (step 5)" in outcome.message
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("monitor")], "the run comes that far")


def test_a_run_that_was_asked_to_save_and_end_tells_from_where_it_goes_on(plan_of: Any, tmp_path: Path):
    stop = GracefulStop(600)
    saved = TrainingError(FailureClass.PREEMPTED, "rank 0: Preempted: saved at step 5 and ended, as asked")

    def at(step: int) -> None:
        if step == 5:
            until(lambda: reports and reports[-1].progress.step, "the run comes that far")  # a first step was seen
            stop.asked_to_end(15, None)

    reports: list[Report] = []
    backend = ScriptedBackend(on_step=at, stop_after=5, error=saved)
    with pytest.raises(RunFailedError) as caught:
        run_training(plan_of(backend, stop=stop, report=reports.append))

    outcome = caught.value.outcome
    assert (tmp_path / "job" / "attempt-1" / "stop").exists()
    assert (outcome.failure, outcome.exit_code, outcome.step) == (FailureClass.PREEMPTED, 143, 5)
    assert "asked to end (SIGTERM) at step 5 of 10; the last verified checkpoint is" in outcome.message
    assert outcome.message.endswith("(step 5)")
    assert [c.step for c in reports[-1].checkpoints if c.kind == "full-state" and c.verified] == [5]


def test_a_run_asked_to_end_at_its_last_step_still_succeeds(plan_of: Any):
    stop, reports = GracefulStop(600), list[Report]()

    def at(step: int) -> None:
        if step == 10:
            until(lambda: reports and reports[-1].progress.step, "the run comes that far")
            stop.asked_to_end(15, None)

    assert run_training(plan_of(ScriptedBackend(on_step=at), stop=stop, report=reports.append)).reached_end


def test_against_the_policy_nothing_is_waited_for(plan_of: Any):
    stop, policy = GracefulStop(600), CheckpointPolicy(on_preemption=False)
    backend = ScriptedBackend(on_step=lambda step: stop.asked_to_end(15, None) if step == 3 else None)
    with kept_handlers(), pytest.raises(Terminated):
        run_training(plan_of(backend, stop=stop, checkpoint=policy))


def test_before_the_first_step_nothing_is_waited_for(plan_of: Any):
    stop = GracefulStop(600)

    class Asked(ScriptedBackend):
        def run(self, run: BackendRun) -> None:
            del run
            stop.asked_to_end(15, None)

    with kept_handlers(), pytest.raises(Terminated) as caught:
        run_training(plan_of(Asked(), stop=stop))
    assert caught.value.outcome is not None
    assert "at step 0 of 10; no checkpoint was verified" in caught.value.outcome.message
