"""The clock jumps: forward by a day, back by a year, by a second between two replicas. Nothing is lost, nothing is negative, all goes on."""

from datetime import timedelta

import pytest
from fake_cluster import FakeCluster, at, failure, job, success
from hypothesis import given, settings
from hypothesis import strategies as st
from loop import reasons, settle, started

from kubetune_trainer.contract import FailureClass

YEAR = timedelta(days=365).total_seconds()
JUMPS = [-YEAR, -3600, -7, -1, 1, 7, 3600, YEAR]


@pytest.mark.parametrize("jump", JUMPS)
def test_a_backoff_never_lasts_longer_than_itself_twice(jump):
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(20))
    waited, moment = 0.0, 20 + jump
    while (outcome := settle(cluster, at(moment))) and not cluster.children:
        assert outcome.requeue_after is not None
        assert 0 < outcome.requeue_after <= 10
        waited, moment = waited + outcome.requeue_after, moment + outcome.requeue_after
        assert waited <= 20, "the back-off is 10 s"
    settle(cluster, at(moment))
    assert reasons(cluster) == ["CudaOOM", None]
    assert cluster.status["restarts"] == 1


@pytest.mark.parametrize("jump", [-YEAR, -3600, -1])
def test_a_deadline_does_not_pass_because_the_clock_went_back(jump):
    cluster, _ = started(runPolicy={"activeDeadlineSeconds": 100, "progressDeadlineSeconds": 60})
    outcome = settle(cluster, at(50 + jump))
    assert cluster.status["phase"] == "Running"
    assert 0 < (outcome.requeue_after or 0) <= 30
    cluster.change_spec(runPolicy={"activeDeadlineSeconds": 100, "suspend": True})
    settle(cluster, at(50))
    settle(cluster, at(52))
    settle(cluster, at(54 + jump))
    assert cluster.status["phase"] == "Suspended"
    cluster.change_spec(runPolicy={"activeDeadlineSeconds": 100})
    settle(cluster, at(60 + jump))
    cluster.now = at(99)
    cluster.run_pods(2)
    settle(cluster, at(99))
    assert cluster.status["phase"] == "Running", "suspended time is never negative: it would bring the deadline forward"


@pytest.mark.parametrize("jump", [-YEAR, -1])
def test_time_to_live_never_ends_early_because_the_clock_went_back(jump):
    cluster, (master,) = started(runPolicy={"ttlSecondsAfterFinished": 60})
    cluster.end_pod(master, 0, success())
    settle(cluster, at(100))
    outcome = settle(cluster, at(100 + jump))
    assert list(cluster.children) == ["teach-sft-1"]
    assert (outcome.requeue_after or 0) > 0
    settle(cluster, at(161))
    assert cluster.children == {}


@pytest.mark.parametrize("jump", JUMPS)
def test_a_finished_job_stays_as_it_ended(jump):
    cluster, (master,) = started()
    cluster.end_pod(master, 0, success())
    settle(cluster, at(100))
    before = cluster.status
    settle(cluster, at(100 + jump))
    assert cluster.status == before


def test_an_attempt_that_ended_before_it_began_is_no_trouble():
    cluster, (master,) = started()
    cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM))
    settle(cluster, at(-YEAR))
    settle(cluster, at(-YEAR + 30))
    assert cluster.status["goodput"] == {"queued": 5, "training": 0, "lost": 0, "waiting": 30}
    assert reasons(cluster) == ["CudaOOM", None]


def no_negative_number(value: object) -> bool:
    if isinstance(value, dict):
        return all(no_negative_number(each) for each in value.values())
    if isinstance(value, list):
        return all(no_negative_number(each) for each in value)
    return not isinstance(value, int | float) or value >= 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*JUMPS, 15, 15, 40, 400]), min_size=4, max_size=16))
def test_whatever_the_clock_does_every_failure_is_counted_once_and_the_job_ends(jumps):
    """Each round fails the attempt that runs; in the end one succeeds."""
    cluster, moment = FakeCluster(job(runPolicy={"backoffLimit": 50})), 0.0
    failed = 0
    for jump in jumps:
        settle(cluster, at(moment))
        if cluster.children and not cluster.pod_objects:
            cluster.now = at(moment)
            (master,) = cluster.run_pods(len(cluster.status["attempts"]))
            settle(cluster, at(moment))
            cluster.end_pod(master, 1, failure(FailureClass.CUDA_OOM, len(cluster.status["attempts"])))
            failed += 1
        settle(cluster, at(moment))
        assert no_negative_number(cluster.status)
        moment += jump
    for _ in range(8):  # at most the back-off's cap, twice
        moment += 100
        settle(cluster, at(moment))
    number = len(cluster.status["attempts"])
    assert number == failed + 1
    cluster.now = at(moment)
    (master,) = cluster.run_pods(number)
    cluster.end_pod(master, 0, success(number))
    settle(cluster, at(moment + 1))
    assert reasons(cluster) == ["CudaOOM"] * failed + ["Succeeded"]
    assert cluster.status["restarts"] == failed
    assert [reason for _, reason, _ in cluster.events] == ["AttemptFailed", "Restarted"] * failed + ["Succeeded"]
