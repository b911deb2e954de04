from dataclasses import replace

import pytest
from fake_cluster import NOW, at, checkpoint
from observations import first_attempt, unseen

from kubetune.api.status import Attempt, Condition, Failure, Goodput, JobStatus, Phase
from kubetune.cluster import ClusterError
from kubetune.controller.bounds import written_part
from kubetune.controller.conditions import conditions
from kubetune.controller.decision import SUSPENDING, AttemptEnd, CreateAttempt, Decision, DeleteChild
from kubetune.controller.goodput import goodput
from kubetune.controller.pods import PodState
from kubetune.controller.status import changed, next_status, refused
from kubetune_trainer.contract import FailureClass, Progress

FAILURE = Failure(failure_class=FailureClass.CUDA_OOM, reason="CudaOOM", message="out of memory")


def by_type(status: JobStatus) -> dict[str, Condition]:
    return {condition.type: condition for condition in status.conditions}


def truths(phase: Phase, **more) -> set[str]:
    said = conditions(unseen(), Decision(phase, "Because", "so", **more), FAILURE, NOW)
    return {c.type for c in said if c.status == "True"}


@pytest.mark.parametrize(
    ("phase", "more", "expected"),
    [
        (Phase.PENDING, {}, {"Reconciling"}),
        (Phase.QUEUED, {}, {"Reconciling"}),
        (Phase.STARTING, {}, {"Admitted", "Reconciling"}),
        (Phase.RUNNING, {}, {"Admitted", "Running", "Reconciling"}),
        (Phase.RESTARTING, {}, {"Reconciling"}),
        (Phase.RESTARTING, {"stalled": True}, {"Stalled"}),
        (Phase.SUSPENDED, {}, {"Suspended"}),
        (Phase.SUCCEEDED, {}, {"Succeeded"}),
        (Phase.FAILED, {"stalled": True}, {"Failed", "Stalled"}),
    ],
)
def test_what_is_true_in_each_phase(phase, more, expected):
    assert truths(phase, **more) == expected | {"Valid"}


def test_every_condition_is_always_there_once():
    types = [c.type for c in conditions(unseen(), Decision(Phase.PENDING, "x"), None, NOW)]
    assert types == ["Valid", "Admitted", "Running", "Suspended", "Succeeded", "Failed", "Reconciling", "Stalled"]


def test_transition_times_move_with_the_status_only():
    observed = first_attempt()
    first = next_status(observed, Decision(Phase.RUNNING, "Running"), at(10))
    observed = replace(observed, status=first)
    second = next_status(observed, Decision(Phase.RUNNING, "Running", "another message"), at(20))
    assert by_type(second)["Running"].last_transition_time == at(10)
    assert by_type(second)["Running"].message == "another message"
    third = next_status(replace(observed, status=second), Decision(Phase.RESTARTING, "Backoff"), at(30))
    assert by_type(third)["Running"].last_transition_time == at(30)
    assert by_type(third)["Suspended"].last_transition_time == by_type(first)["Suspended"].last_transition_time


def test_suspending_is_said_before_it_is_true():
    said = {c.type: c for c in conditions(unseen(), Decision(Phase.RUNNING, SUSPENDING), None, NOW)}
    assert (said["Suspended"].status, said["Suspended"].reason) == ("False", "Suspending")


def test_admission_stays_as_it_was_at_the_end():
    observed = replace(first_attempt(), status=next_status(first_attempt(), Decision(Phase.RUNNING, "Running"), NOW))
    said = {c.type: c for c in conditions(observed, Decision(Phase.SUCCEEDED, "ReachedEnd"), None, NOW)}
    assert said["Admitted"].status == "True"


def test_the_failure_gives_the_failed_conditions_reason():
    said = {c.type: c for c in conditions(unseen(), Decision(Phase.FAILED, "Because", "so"), FAILURE, NOW)}
    assert (said["Failed"].reason, said["Failed"].message) == ("CudaOOM", "so")


def test_attempts_are_bounded_and_numbers_rise():
    tries = tuple(Attempt(number=n, py_torch_job="x", started=NOW, ended=NOW, reason="BackendError") for n in range(11, 31))
    observed = first_attempt()
    observed = replace(observed, status=observed.status.model_copy(update={"attempts": tries, "restarts": 29}), attempt=tries[-1])
    status = next_status(observed, Decision(Phase.STARTING, "x", actions=(CreateAttempt(31),)), at(5))
    assert [a.number for a in status.attempts] == list(range(12, 32))
    assert status.restarts == 30
    assert status.attempts[-1].py_torch_job == "teach-sft-31"


def test_the_trainers_part_is_read_and_never_written():
    observed = first_attempt()
    reported = observed.status.model_copy(update={"progress": Progress(step=3), "checkpoints": (checkpoint(),)})
    status = next_status(replace(observed, status=reported), Decision(Phase.RUNNING, "Running"), NOW)
    assert status.progress.step == 3
    assert not {"progress", "checkpoints"} & set(written_part(status))
    assert not changed(status, status.model_copy(update={"progress": Progress(step=4), "checkpoints": ()}))
    assert changed(status, status.model_copy(update={"phase": Phase.FAILED}))


def test_what_is_trained_is_fixed_by_the_first_attempt():
    observed = unseen()
    assert next_status(observed, Decision(Phase.PENDING, "x"), NOW).spec_hash is None
    status = next_status(observed, Decision(Phase.STARTING, "x", actions=(CreateAttempt(1),)), NOW)
    assert status.spec_hash == observed.hash
    later = replace(first_attempt(), hash="f" * 64)
    assert next_status(later, Decision(Phase.RUNNING, "x"), NOW).spec_hash == observed.hash


def test_the_outcome_corrects_where_the_attempt_went_on_from():
    observed = first_attempt()
    told = observed.attempt.model_copy(update={"resumed_from": "pvc://runs/torn"})
    observed = replace(observed, status=observed.status.model_copy(update={"attempts": (told,)}), attempt=told)
    for said, expected in ((None, "pvc://runs/torn"), ("pvc://runs/good", "pvc://runs/good")):
        decision = Decision(Phase.RESTARTING, "x", ended=AttemptEnd("CudaOOM", "m", resumed_from=said), failure=FAILURE)
        assert next_status(observed, decision, NOW).attempts[0].resumed_from == expected


@pytest.mark.parametrize("retryable", [True, False])
def test_a_refused_decision_leaves_everything_as_it_was_and_says_so(retryable):
    observed = unseen()
    decision = Decision(Phase.STARTING, "AttemptStarted", actions=(CreateAttempt(1),))
    status = next_status(observed, refused(observed, decision, ClusterError("no quota", retryable=retryable), 15), NOW)
    assert (status.phase, status.attempts, status.spec_hash) == (Phase.PENDING, (), None)
    assert (by_type(status)["Running"].reason, by_type(status)["Running"].message) == ("CreateFailed", "no quota")
    assert (by_type(status)["Stalled"].status == "True") != retryable


def test_a_refused_clean_up_does_not_unsay_the_end():
    observed = unseen()
    decision = Decision(Phase.SUCCEEDED, "ReachedEnd", "it did", actions=(DeleteChild("a", "b", "c"),))
    left = refused(observed, decision, ClusterError("timeout"), 15)
    assert (left.phase, left.message, left.actions, left.requeue_after) == (Phase.SUCCEEDED, "it did", (), 15)


# --- goodput

POD = PodState(name="m", uid="m", master=True, index=0, phase="Running", running=True, started=at(30))


def attempt(number: int, start: float, end: float | None = None, reason: str | None = None) -> Attempt:
    return Attempt(number=number, py_torch_job="x", started=at(start), ended=at(end) if end else None, reason=reason)


def test_time_is_unknown_until_a_pod_runs():
    assert goodput(first_attempt(), (attempt(1, 0),), at(10)) is None


def test_queued_is_up_to_the_first_running_pod():
    observed = replace(first_attempt(), pods=(POD,))
    assert goodput(observed, (attempt(1, 0),), at(40)) == Goodput(queued=30)


def test_an_attempt_that_never_ran_was_queued_all_the_time():
    assert goodput(first_attempt(), (attempt(1, 0, 50, "ImagePull"),), at(50)) == Goodput(queued=50)


@pytest.mark.parametrize(
    ("reason", "saved", "expected"),
    [
        ("Succeeded", None, {"training": 70, "lost": 0}),
        ("NodeLost", None, {"training": 0, "lost": 70}),
        ("NodeLost", 60, {"training": 30, "lost": 40}),
        ("Suspended", 90, {"training": 60, "lost": 10}),
    ],
)
def test_work_after_the_last_save_is_lost(reason, saved, expected):
    observed = replace(first_attempt(), pods=(POD,))
    states = (checkpoint(5, kind="full-state", time=at(saved)),) if saved else ()
    unverified = checkpoint(9, kind="full-state", verified=False, time=at(99))
    observed = replace(observed, status=observed.status.model_copy(update={"checkpoints": (*states, unverified)}))
    assert goodput(observed, (attempt(1, 0, 100, reason),), at(100)) == Goodput(queued=30, **expected)


def test_waiting_is_between_attempts_and_nothing_is_counted_twice():
    observed = first_attempt()
    known = (attempt(1, 0, 100, "NodeLost"),)
    status = observed.status.model_copy(update={"attempts": known, "goodput": Goodput(queued=30, training=60, lost=10)})
    observed = replace(observed, status=status)
    assert goodput(observed, known, at(105)) == status.goodput
    assert goodput(observed, (*known, attempt(2, 110)), at(110)) == Goodput(queued=30, training=60, lost=10, waiting=10)
