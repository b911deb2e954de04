from dataclasses import replace

import pytest
from fake_cluster import NOW, at, checkpoint
from observations import SETTINGS, first_attempt, unseen

from kubetune.api.status import Attempt, Failure
from kubetune.controller.retry import backoff_left, backoff_seconds, resume_candidates, why_no_retry
from kubetune_trainer.contract import FailureClass


def attempts(*reasons: str | None) -> tuple[Attempt, ...]:
    return tuple(
        Attempt(number=n, py_torch_job=f"teach-sft-{n}", started=NOW, ended=at(n) if reason else None, reason=reason)
        for n, reason in enumerate(reasons, 1)
    )


@pytest.mark.parametrize(
    ("reasons", "seconds"),
    [
        ((), 0),
        (("BackendError",), 10),
        (("BackendError", "HostOOM", "CudaOOM"), 40),
        (("BackendError",) * 6, 300),
        (("BackendError",) * 500, 300),
        (("BackendError", "Preempted"), 10),
        (("Preempted", "BackendError"), 10),
        (("BackendError", "BackendError", "Suspended", "BackendError"), 10),
        (("BackendError", "BackendError", "Suspended"), 0),
    ],
)
def test_the_wait_doubles_with_failures_in_a_row(reasons, seconds):
    assert backoff_seconds(attempts(*reasons), SETTINGS) == seconds


def test_the_wait_counts_from_the_end():
    observed = first_attempt()
    observed = replace(observed, status=observed.status.model_copy(update={"attempts": attempts("BackendError")}))
    assert backoff_left(observed, SETTINGS, at(1)) == 10
    assert backoff_left(observed, SETTINGS, at(8)) == 3
    assert backoff_left(observed, SETTINGS, at(100)) == 0


def test_a_live_attempt_and_none_wait_for_nothing():
    assert backoff_left(first_attempt(), SETTINGS, at(0)) == 0
    assert backoff_left(unseen(), SETTINGS, at(0)) == 0


@pytest.mark.parametrize("kind", list(FailureClass))
@pytest.mark.parametrize(("restarts", "left"), [(0, True), (1, True), (2, False)])
def test_what_is_retried(kind, restarts, left):
    observed = first_attempt(runPolicy={"backoffLimit": 2})
    observed = replace(observed, status=observed.status.model_copy(update={"restarts": restarts}))
    reason = why_no_retry(observed, Failure(failure_class=kind, reason="x", message="y"))
    final = kind in (FailureClass.USER_ERROR, FailureClass.DATA_ERROR, FailureClass.DEADLINE_EXCEEDED)
    expected = not final and (left or kind is FailureClass.PREEMPTED)
    assert (reason is None) == expected


def test_an_attempt_found_without_a_record_is_counted_already():
    observed = first_attempt(runPolicy={"backoffLimit": 1})
    status = observed.status.model_copy(update={"attempts": attempts("BackendError")})
    found = replace(observed, status=status, attempt=attempts("BackendError", None)[1], recorded=False)
    failure = Failure(failure_class=FailureClass.HOST_OOM, reason="x", message="y")
    assert why_no_retry(found, failure) is not None
    assert why_no_retry(replace(found, recorded=True), failure) is None


def test_candidates_are_verified_full_states_newest_first_and_no_more_than_five():
    states = [checkpoint(step, kind="full-state") for step in (10, 70, 30, 20, 60, 50, 40)]
    others = [checkpoint(80, kind="full-state", verified=False), checkpoint(90)]
    observed = first_attempt()
    observed = replace(observed, status=observed.status.model_copy(update={"checkpoints": (*states, *others)}))
    assert [uri.rsplit("/", 1)[1] for uri in resume_candidates(observed, SETTINGS)] == ["70", "60", "50", "40", "30"]


def test_of_one_step_the_later_attempts_state_comes_first():
    observed = first_attempt()
    states = (checkpoint(10, kind="full-state", attempt=1), checkpoint(10, kind="full-state", attempt=2))
    observed = replace(observed, status=observed.status.model_copy(update={"checkpoints": states}))
    assert resume_candidates(observed, SETTINGS) == (states[1].uri, states[0].uri)


def test_where_reports_are_lost_the_last_starting_point_is_tried_again():
    observed = first_attempt()
    resumed = attempts("NodeLost")[0].model_copy(update={"resumed_from": "pvc://runs/state"})
    observed = replace(observed, status=observed.status.model_copy(update={"attempts": (resumed,)}))
    assert resume_candidates(observed, SETTINGS) == ("pvc://runs/state",)
