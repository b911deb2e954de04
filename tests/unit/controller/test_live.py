"""Where a live attempt stands, and when it is looked at again."""

from dataclasses import replace

import pytest
from fake_cluster import NOW, at
from observations import SETTINGS, first_attempt

from kubetune.api.status import Attempt, Phase
from kubetune.controller.decide import decide
from kubetune.controller.pods import PodState
from kubetune_trainer.contract import Progress

PENDING = PodState(name="m", uid="m", master=True, index=0, phase="Pending", created=NOW)
RUNNING = replace(PENDING, phase="Running", running=True, started=at(10))


def standing(*pods: PodState, now: float = 20, queued: bool = False, **spec):
    observed = first_attempt(**spec)
    observed = replace(observed, pods=pods, child=replace(observed.child, suspended=queued))
    return decide(observed, SETTINGS, at(now))


@pytest.mark.parametrize(
    ("pods", "phase", "reason"),
    [
        ((), Phase.STARTING, "Starting"),
        ((PENDING,), Phase.STARTING, "Starting"),
        ((replace(PENDING, unschedulable="insufficient nvidia.com/gpu"),), Phase.STARTING, "Unschedulable"),
        ((replace(PENDING, waiting_reason="ErrImagePull", waiting_message="no such image"),), Phase.STARTING, "ErrImagePull"),
        ((RUNNING,), Phase.RUNNING, "Running"),
        ((RUNNING, replace(PENDING, name="w", master=False)), Phase.RUNNING, "Running"),
    ],
)
def test_the_phase_follows_the_pods(pods, phase, reason):
    decision = standing(*pods)
    assert (decision.phase, decision.reason, decision.actions) == (phase, reason, ())


def test_a_queued_child_is_not_admitted():
    assert standing(queued=True).phase is Phase.QUEUED


@pytest.mark.parametrize(
    ("spec", "pods", "now", "wait"),
    [
        ({}, (RUNNING,), 20, 30),
        ({"runPolicy": {"activeDeadlineSeconds": 25}}, (RUNNING,), 20, 5),
        ({"runPolicy": {"progressDeadlineSeconds": 15}}, (RUNNING,), 40, 5),
        ({"runPolicy": {"progressDeadlineSeconds": 15}}, (PENDING,), 20, 30),
        ({}, (replace(PENDING, waiting_reason="ErrImagePull"),), 115, 5),
        ({"runPolicy": {"activeDeadlineSeconds": 9999}}, (RUNNING,), 20, 30),
    ],
)
def test_it_is_looked_at_again_before_the_next_deadline(spec, pods, now, wait):
    assert standing(*pods, now=now, **spec).requeue_after == wait


def test_a_hang_counts_from_the_start_of_training_not_of_the_pod():
    spec = {"runPolicy": {"progressDeadlineSeconds": 60}}
    assert standing(PENDING, now=500, **spec).failure is None
    decision = standing(RUNNING, now=90, **spec)
    assert decision.failure.reason == "Hang"
    assert "no step was ever reported" in decision.failure.message


def test_an_account_of_the_users_own_may_be_unable_to_report_and_that_is_no_hang():
    spec = {"runPolicy": {"progressDeadlineSeconds": 60}, "template": {"serviceAccountName": "buckets"}}
    assert standing(RUNNING, now=500, **spec).failure is None
    observed = replace(first_attempt(**spec), pods=(RUNNING,))
    reported = observed.status.model_copy(update={"progress": Progress(step=3, updated_time=at(20))})
    assert decide(replace(observed, status=reported), SETTINGS, at(99)).failure is None
    assert decide(replace(observed, status=reported), SETTINGS, at(100)).failure.reason == "Hang"


def test_progress_of_an_earlier_attempt_is_no_progress():
    observed = first_attempt(runPolicy={"progressDeadlineSeconds": 60})
    late = observed.status.model_copy(update={"progress": Progress(step=99, updated_time=at(-1))})
    decision = decide(replace(observed, pods=(RUNNING,), status=late), SETTINGS, at(90))
    assert decision.failure.reason == "Hang"


def test_suspended_time_is_not_active_time():
    observed = first_attempt(runPolicy={"activeDeadlineSeconds": 100})
    before = Attempt(number=1, py_torch_job="a", started=at(0), ended=at(50), reason="Suspended")
    now = Attempt(number=2, py_torch_job="b", started=at(1050))
    status = observed.status.model_copy(update={"attempts": (before, now)})
    resumed = replace(observed, status=status, attempt=now, pods=(replace(RUNNING, started=at(1050)),))
    assert decide(resumed, SETTINGS, at(1099)).failure is None
    assert decide(resumed, SETTINGS, at(1100)).failure.reason == "DeadlineExceeded"


def test_the_chain_always_decides_but_for_a_job_on_its_way_out():
    observed = first_attempt()
    going = {**observed.manifest, "metadata": {**observed.manifest["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert decide(replace(observed, manifest=going), SETTINGS, NOW) is None
    assert decide(observed, SETTINGS, NOW) is not None
