"""Every row of "a run counts as successful only if ALL hold": each test fails if its check is removed."""

from __future__ import annotations

import errno
import math
from dataclasses import replace
from typing import Any

import pytest

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.contract import Checkpoint, FailureClass
from kubetune_trainer.errors import ConfigurationError, DataError, TrainingError
from kubetune_trainer.outcome import Evidence, classify, exit_code, judge


def step(number: int, loss: float = 1.0) -> StepMetrics:
    return StepMetrics(number, 0, 5, loss, None, 8.0 * number, None, None, None)


def checkpoint(at: int = 10, **more: Any) -> Checkpoint:
    return Checkpoint(
        **{"uri": f"pvc://runs/hf_format/samples_{at}", "step": at, "bytes": 1, "kind": "hf", "verified": True, **more}
    )


GOOD = Evidence(attempt=2, steps=[step(n) for n in range(1, 11)], total_steps=10, checkpoints=[checkpoint(5), checkpoint()])


def test_all_hold():
    outcome = judge(GOOD)

    assert outcome.reached_end
    assert (outcome.step, outcome.total_steps, outcome.attempt, outcome.exit_code, outcome.failure) == (10, 10, 2, 0, None)
    assert outcome.checkpoint == checkpoint()


@pytest.mark.parametrize(
    ("change", "failure", "says"),
    [
        ({"error": TrainingError(FailureClass.CUDA_OOM, "rank 1: out of memory")}, FailureClass.CUDA_OOM, "rank 1: out of memory"),
        ({"error": RuntimeError("boom")}, FailureClass.BACKEND_ERROR, "boom"),
        ({"error": KeyError()}, FailureClass.BACKEND_ERROR, "KeyError"),
        ({"steps": []}, FailureClass.BACKEND_ERROR, "without training a single step"),
        ({"steps": GOOD.steps[:7]}, FailureClass.BACKEND_ERROR, "ended at step 7 of 10"),
        ({"total_steps": 9}, FailureClass.BACKEND_ERROR, "ended at step 10 of 9"),
        ({"total_steps": None}, FailureClass.BACKEND_ERROR, "ended at step 10 of None"),
        ({"steps": [*GOOD.steps[:9], step(10, math.nan)]}, FailureClass.NON_FINITE_LOSS, "the loss is nan since step 10"),
        ({"steps": [*GOOD.steps[:9], step(10, -math.inf)]}, FailureClass.NON_FINITE_LOSS, "the loss is -inf since step 10"),
        (
            {"steps": [step(1), step(2, math.nan), step(3), step(4, math.nan), step(5, math.nan)]},
            FailureClass.NON_FINITE_LOSS,
            "step 4 ",
        ),
        ({"checkpoints": []}, FailureClass.BACKEND_ERROR, "no verified checkpoint of it: none was written"),
        ({"checkpoints": [checkpoint(5)]}, FailureClass.BACKEND_ERROR, "no verified checkpoint of it"),
        ({"checkpoints": [checkpoint(verified=False)], "problems": ["NaN in x"]}, FailureClass.BACKEND_ERROR, "NaN in x"),
        ({"checkpoints": [checkpoint(kind="adapter")]}, FailureClass.BACKEND_ERROR, "no verified checkpoint"),
        ({"owed": "adapter"}, FailureClass.BACKEND_ERROR, "no verified checkpoint"),
        ({"checkpoints": [checkpoint(kind="full-state")]}, FailureClass.BACKEND_ERROR, "no verified checkpoint"),
    ],
)
def test_one_does_not_hold(change: dict[str, Any], failure: FailureClass, says: str):
    outcome = judge(replace(GOOD, **change))

    assert not outcome.reached_end
    assert outcome.failure is failure
    assert outcome.checkpoint is None
    assert outcome.exit_code == 1
    assert says in outcome.message


def test_a_loss_that_was_nan_and_recovered_is_no_failure():
    assert judge(replace(GOOD, steps=[step(1, math.nan), *GOOD.steps[1:]])).reached_end


def test_the_other_nodes_do_not_judge_the_checkpoint():
    outcome = judge(replace(GOOD, checkpoints=[], needs_checkpoint=False))

    assert outcome.reached_end
    assert outcome.checkpoint is None
    assert not judge(replace(GOOD, steps=GOOD.steps[:7], needs_checkpoint=False)).reached_end


def test_who_was_told_to_end_says_from_where_to_go_on():
    asked = TrainingError(FailureClass.PREEMPTED, "rank 0: Preempted: saved at step 5 and ended, as asked")
    half = replace(GOOD, steps=GOOD.steps[:5], checkpoints=[checkpoint(5)], error=asked)
    assert (
        judge(half).message
        == f"asked to end (SIGTERM) at step 5 of 10; the last verified checkpoint is {checkpoint(5).uri} (step 5)"
    )
    assert judge(replace(half, checkpoints=[])).message.endswith("no checkpoint was verified")
    assert judge(replace(half, checkpoints=[], needs_checkpoint=False)).message.endswith("the master verifies what was saved")


def test_log_tail_and_resumption_are_told():
    error = TrainingError(FailureClass.BACKEND_ERROR, "x", log_tail="Traceback")
    outcome = judge(replace(GOOD, error=error, resumed_from="pvc://runs/full_state/step_5"))

    assert outcome.log_tail == "Traceback"
    assert outcome.resumed_from == "pvc://runs/full_state/step_5"


@pytest.mark.parametrize(
    ("error", "failure", "code"),
    [
        (ConfigurationError("a", 1, "b", "c"), FailureClass.USER_ERROR, 2),
        (DataError("a", 1, "b", "c"), FailureClass.DATA_ERROR, 2),
        (TrainingError(FailureClass.HANG, "x"), FailureClass.HANG, 1),
        (TrainingError(FailureClass.PREEMPTED, "x"), FailureClass.PREEMPTED, 143),
        (MemoryError(), FailureClass.HOST_OOM, 1),
        (OSError(errno.ENOSPC, "full"), FailureClass.DISK_FULL, 1),
        (OSError(errno.EACCES, "no"), FailureClass.BACKEND_ERROR, 1),
        (KeyboardInterrupt(), FailureClass.PREEMPTED, 143),
        (ValueError("x"), FailureClass.BACKEND_ERROR, 1),
    ],
)
def test_classes_and_exit_codes(error: BaseException, failure: FailureClass, code: int):
    assert classify(error) is failure
    assert exit_code(failure) == code


def test_exit_code_of_success():
    assert exit_code(None) == 0
