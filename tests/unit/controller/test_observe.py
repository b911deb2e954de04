import asyncio

import pytest
from fake_cluster import NOW, UID, FakeCluster, at, failure, job, stamp, success
from observations import SETTINGS, first_attempt, unseen

from kubetune.api import parse_job
from kubetune.api.identity import identity, spec_hash
from kubetune.cluster import ATTEMPT, JOB_UID, MANAGED_BY, ClusterError
from kubetune.controller.child import child_state, stamped
from kubetune.controller.observe import observe
from kubetune.controller.reconcile import reconcile


def child(name: str = "teach-sft-1", *, owner: str = UID, label_uid: str = UID, number: int = 1, **more) -> dict:
    labels = {MANAGED_BY: "kubetune", JOB_UID: label_uid, ATTEMPT: str(number)}
    metadata = {
        "name": name,
        "uid": "c",
        "creationTimestamp": stamp(at(1)),
        "labels": labels,
        "ownerReferences": [{"uid": owner}],
    }
    return {"metadata": metadata, "spec": {"runPolicy": {}}, **more}


def test_a_new_job():
    observed = unseen()
    assert observed.never_started
    assert not observed.live
    assert observed.next_number == 1
    assert observed.created == NOW
    assert observed.hash == spec_hash(observed.job)


def test_an_invalid_job_is_observed_all_the_same():
    observed = unseen(training={"learningRat": 1})
    assert observed.job is None
    assert "spec.training.learningRat" in observed.errors


def test_a_child_is_ours_by_owner_uid_alone():
    assert child_state(child(), UID).owned
    assert not child_state(child(owner="other"), UID).owned


def test_remains_are_told_from_a_strangers_object():
    assert child_state(child(owner="old", label_uid="old"), UID).remains
    stranger = child(owner="other")
    stranger["metadata"]["labels"] = {}
    assert not child_state(stranger, UID).remains


@pytest.mark.parametrize(
    "suspended", [{"spec": {"runPolicy": {"suspend": True}}}, {"status": {"conditions": [{"type": "Suspended", "status": "True"}]}}]
)
def test_a_queued_child(suspended):
    assert child_state(child(**suspended), UID).suspended


def test_conditions_are_found_wherever_they_stand():
    conditions = [
        {"type": "Failed", "status": "True", "message": "1 Worker replica(s) failed"},
        {"type": "Suspended", "status": "False"},
        {"type": "Running", "status": "False", "message": "it ran"},
    ]
    state = child_state(child(status={"conditions": conditions}), UID)
    assert (state.failed, state.succeeded, state.suspended) == (True, False, False)
    assert state.message == "1 Worker replica(s) failed"


def test_a_child_remembers_what_it_was_made_from():
    subject = parse_job(job())
    state = child_state(stamped(child(), subject), UID)
    assert state.identity == identity(subject)
    assert state.spec_hash == spec_hash(subject)
    assert child_state(child(), UID).identity is None
    broken = child()
    broken["metadata"]["annotations"] = {"kubetune.dev/identity": "{"}
    assert child_state(broken, UID).identity is None


def test_the_live_attempts_child_and_what_is_left_of_others():
    observed = first_attempt()
    assert (observed.child.name, observed.leftovers, observed.occupant) == ("teach-sft-1", (), None)
    manifest = observed.manifest
    both = observe(manifest, [child(number=0, name="teach-sft-0"), child()])
    assert both.child.name == "teach-sft-1"
    assert [c.name for c in both.leftovers] == ["teach-sft-0"]


def test_a_child_without_a_record_is_an_attempt():
    observed = observe(job(), [child()])
    assert not observed.recorded
    assert (observed.attempt.number, observed.attempt.started) == (1, at(1))
    assert observed.next_number == 2


def test_a_foreign_object_under_the_next_name_is_seen():
    observed = observe(job(), [child(owner="other")])
    assert observed.occupant.name == "teach-sft-1"
    assert observed.child is None
    assert observed.never_started


def ended(exit_code: int, said) -> FakeCluster:
    cluster = FakeCluster(job())
    asyncio.run(reconcile(cluster, "SFTJob", "default", "teach", NOW, SETTINGS))
    (master,) = cluster.run_pods(1)
    cluster.end_pod(master, exit_code, said)
    return cluster


def look(cluster: FakeCluster):
    return observe(cluster.job, list(cluster.children.values()), list(cluster.pod_objects.values()))


def test_the_outcome_is_the_masters_and_of_this_attempt():
    assert look(ended(0, success())).outcome == success()
    assert look(ended(0, success(attempt=2))).outcome is None
    assert look(ended(1, "no json")).outcome is None


def test_the_step_is_this_attempts_own():
    cluster = ended(1, None)
    assert look(cluster).step is None
    cluster.report(progress={"step": 9, "updatedTime": stamp(at(-5))})
    assert look(cluster).step is None, "an earlier attempt reported that"
    cluster.report(progress={"step": 9, "updatedTime": stamp(at(5))})
    assert look(cluster).step == 9
    cluster = ended(1, failure("CudaOOM", step=11))
    cluster.report(progress={"step": 9, "updatedTime": stamp(at(5))})
    assert look(cluster).step == 11


def test_a_broken_report_of_the_trainer_is_no_obstacle():
    manifest = first_attempt().manifest
    manifest["status"] |= {"progress": {"step": -1, "nonsense": 3}, "checkpoints": [{"uri": 3}]}
    observed = observe(manifest)
    assert observed.attempt.number == 1
    assert observed.status.checkpoints == ()


@pytest.mark.parametrize("damage", [{"attempts": [{"number": "one"}]}, {"restarts": "many"}])
def test_a_broken_count_is_not_gone_on_from(damage):
    manifest = first_attempt().manifest
    manifest["status"] |= damage
    with pytest.raises(ClusterError, match="mend it, or delete the job") as raised:
        observe(manifest)
    assert not raised.value.retryable
