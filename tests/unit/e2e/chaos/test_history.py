from chaos_history import JOB, good

from e2e.chaos.history import CONTROLLER, from_lines, to_lines, trimmed
from e2e.chaos.trail import trails
from kubetune.cluster import JOB_UID

META = {"name": "a", "namespace": "chaos", "uid": "u", "managedFields": ["long"]}


def test_what_was_written_down_is_read_again():
    history = good().history(seed=3)
    assert from_lines(to_lines(history)) == history


def test_a_trail_is_one_jobs_own():
    story = good()
    other = {"kind": "SFTJob", "metadata": {"name": "other", "uid": "other"}, "spec": {"runPolicy": {}}, "status": {}}
    first, second = trails(story.write(other).history())
    assert (first.name, second.name) == ("teach", "other")
    assert {record.job_uid for record in first.records} == {JOB}


def test_only_what_is_judged_by_is_kept():
    pod = {
        "kind": "Pod",
        "metadata": {**META, "labels": {JOB_UID: JOB}},
        "spec": {"long": 1},
        "status": {"phase": "Running", "podIP": "1"},
    }
    assert trimmed(pod) == {
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "chaos", "uid": "u", "labels": {JOB_UID: JOB}},
        "status": {"phase": "Running"},
    }
    job = trimmed(
        {
            "kind": "OSFTJob",
            "metadata": META,
            "spec": {"model": {}, "runPolicy": {"backoffLimit": 1}},
            "status": {"phase": "Failed"},
        }
    )
    assert job is not None
    assert (job["spec"], job["status"]) == ({"runPolicy": {"backoffLimit": 1}}, {"phase": "Failed"})


def test_what_is_not_ours_is_left_out():
    event = {"kind": "Event", "metadata": META, "involvedObject": {}, "reason": "Scheduled"}
    assert trimmed({**event, "reportingComponent": "default-scheduler"}) is None
    assert trimmed({**event, "reportingComponent": CONTROLLER}) is not None
    assert trimmed({"kind": "Pod", "metadata": META, "status": {}}) is None
    assert trimmed({"kind": "Lease", "metadata": META, "spec": {}}) is None
