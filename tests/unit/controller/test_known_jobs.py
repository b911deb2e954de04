from dataclasses import replace

import pytest
from fake_cluster import job

from kubetune.controller.known_jobs import KnownJobs, seen
from kubetune.controller.workqueue import Key

A, B = Key("SFTJob", "default", "a"), Key("SFTJob", "default", "b")


def test_a_job_in_short():
    status = {
        "phase": "Running",
        "restarts": 1,
        "attempts": [{"number": 1, "ended": "2026-01-01T00:00:00Z", "reason": "CudaOOM"}, {"number": 2}],
        "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}],
        "progress": {"step": 3, "totalSteps": 12, "updatedTime": "2026-01-01T00:01:00Z"},
    }
    it = seen("SFTJob", job(name="a") | {"status": status})
    assert (it.key, it.phase, it.attempt, it.ended, it.ends, it.restarts) == (A, "Running", 2, 1, ("CudaOOM",), 1)
    assert (it.step, it.total, it.reported.minute, it.admitted.second) == (3, 12, 1, 5)
    assert not it.finished


@pytest.mark.parametrize(
    "status",
    [
        None, {}, {"phase": "A" * 9000}, {"attempts": "x"}, {"attempts": [7, {"number": "x", "ended": 1, "reason": "Mine"}]},
        {"failure": {"class": "Mine"}}, {"progress": {"step": -1, "updatedTime": "yesterday"}}, {"conditions": [None]}, {"progress": []},
    ],
)  # fmt: skip
def test_whatever_a_status_says_it_becomes_known_words(status):
    it = seen("SFTJob", job() | ({} if status is None else {"status": status}))
    assert it.phase == "Pending"
    assert it.failure in ("", "Other")
    assert set(it.ends) <= {"Other"}
    assert it.step == 0
    assert it.reported is None


def test_jobs_are_known_by_uid_and_found_by_key():
    jobs = KnownJobs()
    assert jobs.update("1", seen("SFTJob", job(name="a"))) is None
    assert jobs.update("2", seen("SFTJob", job(name="a"))) is None, "created again under its name"
    jobs.forget("1")
    assert A in jobs
    assert jobs.of(A).key == A
    jobs.forget("2")
    assert A not in jobs
    assert jobs.of(A) is None
    jobs.forget("2")
    assert len(jobs) == 0


def test_those_that_are_not_finished_are_counted():
    jobs, running = KnownJobs(), seen("SFTJob", job(name="a"))
    done = replace(running, phase="Failed")
    counts = []
    for uid, what in [
        ("1", running),
        ("1", running),
        ("2", done),
        ("2", running),
        ("1", done),
        ("2", None),
        ("1", None),
        ("1", None),
    ]:
        jobs.update(uid, what) if what else jobs.forget(uid)
        counts.append(jobs.live)
    assert counts == [1, 1, 1, 2, 1, 0, 0, 0]


def test_only_a_finished_job_in_the_version_that_was_looked_at_is_settled():
    jobs = KnownJobs()
    running = seen("SFTJob", job(name="a"))
    done = replace(running, phase="Succeeded", version="7")
    jobs.update("1", done)
    assert not jobs.settled("1", done)
    jobs.settle(A)
    assert jobs.settled("1", done)
    assert jobs.over(A)
    assert not jobs.settled("1", replace(done, version="2"))
    jobs.update("1", replace(done, version="2"))
    assert not jobs.over(A), "something was written since"
    jobs.forget("1")
    assert not jobs.settled("1", done)
    assert not jobs.over(A)


def test_a_job_that_we_finished_is_settled_when_the_watch_tells_of_that():
    jobs = KnownJobs()
    running = seen("SFTJob", job(name="a"))
    jobs.update("1", running)
    jobs.settle(A)
    assert not jobs.over(A)
    jobs.update("1", replace(running, phase="Running", version="6"))
    assert not jobs.over(A)
    jobs.update("1", replace(running, phase="Succeeded", version="7"))
    assert jobs.over(A)
    jobs.update("1", replace(running, phase="Succeeded", version="8"))
    assert not jobs.over(A)


def test_a_spec_a_deletion_and_the_first_sight_ask_for_more_and_a_status_does_not():
    first = seen("SFTJob", job(name="a"))
    assert first.asks_for_more_than(None)
    assert not replace(first, version="2", phase="Running").asks_for_more_than(first)
    assert replace(first, generation=2).asks_for_more_than(first)
    assert replace(first, deleting=True).asks_for_more_than(first)
