import pytest
from fake_cluster import UID, at, pod, stamp, success

from kubetune.controller.pods import parse_outcome, pod_state, pods_of_attempt


def manifest(*, state=None, init=None, role="master", index=0, attempt=1, **extra) -> dict:
    body = pod(f"teach-sft-{attempt}-{role}-{index}", role, index, attempt, UID, at(0))
    if state is not None:
        body["status"]["containerStatuses"][0]["state"] = state
    if init is not None:
        body["status"]["initContainerStatuses"] = [{"name": "init", "state": init}]
    body["status"] |= extra
    return body


def ended(code: int, **more) -> dict:
    return {"terminated": {"exitCode": code, "reason": "Error", "startedAt": stamp(at(1)), "finishedAt": stamp(at(9)), **more}}


def test_a_running_pod():
    state = pod_state(manifest())
    assert (state.master, state.running, state.failed, state.ended, state.node) == (True, True, False, False, "node-0")
    assert state.started == at(0)


def test_an_ended_pod_with_its_outcome():
    state = pod_state(manifest(state=ended(0, message=success().to_message()), phase="Succeeded"))
    assert (state.finished_well, state.failed, state.ended) == (True, False, True)
    assert state.outcome == success()
    assert (state.started, state.finished) == (at(1), at(9))


def test_a_failed_container_fails_the_pod_though_a_sidecar_keeps_it_running():
    body = manifest(state=ended(1))
    body["status"]["containerStatuses"].insert(0, {"name": "sidecar", "state": {"running": {"startedAt": stamp(at(0))}}})
    state = pod_state(body)
    assert (state.exit_code, state.failed, state.ended, state.running) == (1, True, True, False)


def test_a_pod_that_is_deleted_before_its_end_has_failed():
    body = manifest()
    body["metadata"]["deletionTimestamp"] = stamp(at(30))
    assert pod_state(body).failed
    body = manifest(state=ended(0), phase="Succeeded")
    body["metadata"]["deletionTimestamp"] = stamp(at(30))
    assert not pod_state(body).failed


def test_a_failed_init_container_is_the_pods_end():
    state = pod_state(manifest(state={"waiting": {"reason": "PodInitializing"}}, init=ended(3), phase="Failed"))
    assert (state.exit_code, state.failed, state.waiting_reason) == (3, True, None)


@pytest.mark.parametrize("where", ["state", "init"])
def test_a_container_that_cannot_start_says_why(where):
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    calm = {"waiting": {"reason": "PodInitializing"}}
    state = pod_state(manifest(**({"state": calm} | {where: waiting}), phase="Pending"))
    assert (state.waiting_reason, state.waiting_message) == ("ImagePullBackOff", "no such image")


def test_ordinary_waiting_is_no_news():
    assert pod_state(manifest(state={"waiting": {"reason": "ContainerCreating"}}, phase="Pending")).waiting_reason is None


def test_why_a_pod_is_not_scheduled_and_why_it_was_disrupted():
    conditions = [
        {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available: insufficient nvidia.com/gpu"},
        {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"},
    ]
    state = pod_state(manifest(conditions=conditions))
    assert state.unschedulable == "0/3 nodes are available: insufficient nvidia.com/gpu"
    assert state.disruption == "PreemptionByScheduler"
    scheduled = pod_state(manifest(conditions=[{"type": "PodScheduled", "status": "True"}]))
    assert scheduled.unschedulable is None


def test_a_pod_of_which_the_kubelet_has_said_nothing():
    body = manifest()
    body["status"] = {}
    state = pod_state(body)
    assert (state.phase, state.failed, state.running, state.exit_code) == ("Pending", False, False, None)


def test_pods_of_the_attempt_alone_master_first():
    bodies = [
        manifest(role="worker", index=10),
        manifest(role="worker", index=2),
        manifest(role="master"),
        manifest(role="master", attempt=2),
        {"metadata": {"name": "stranger"}},
    ]
    assert [p.name for p in pods_of_attempt(bodies, 1)] == ["teach-sft-1-master-0", "teach-sft-1-worker-2", "teach-sft-1-worker-10"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("", "left no outcome"),
        (" \n", "left no outcome"),
        ("Killed", "'Killed'"),
        ('{"reachedEnd": true}', "attempt: Field required"),
        ('{"reachedEnd": true, "attempt": 1, "class": "Tired"}', "class"),
    ],
)
def test_what_is_no_outcome_is_none_and_said(message, problem):
    outcome, said = parse_outcome(message)
    assert outcome is None
    assert problem in said
