from __future__ import annotations

from typing import Any

import pytest
from explained import COMMANDS, ago, attempt, condition, found, job, pod, runs, warning

from kubetune.cluster import Queueing
from kubetune.explain import Commands, Event, Severity

QUEUED = {"spec": {"queueName": "gpus"}, "attempts": [attempt(started=ago(minutes=30))]}


def test_a_job_that_no_operator_has_seen_for_long_is_blocked() -> None:
    (first,) = found(job())
    assert (first.severity, first.reason) == (Severity.BLOCKED, "NotObserved")
    assert "created 2.0 h ago" in first.evidence[0]
    assert first.command == "kubectl get pods -n kubetune-system"


def test_a_new_job_is_not_yet_a_matter_of_concern() -> None:
    new = job("Pending", observedGeneration=-1)
    new["metadata"]["creationTimestamp"] = ago(seconds=5)
    new["status"]["observedGeneration"] = -1
    (first,) = found(new)
    assert (first.severity, first.reason) == (Severity.WAITING, "NotObserved")


@pytest.mark.parametrize(
    "sign",
    [{"pods": [pod()]}, {"events": [Event("SuccessfulCreatePod", "Created pod", warning=False, about="PyTorchJob/teach-sft-1")]}],
)
def test_a_first_attempt_of_which_the_status_says_nothing_yet_is_told_by_its_pods(sign: dict[str, Any]) -> None:
    new = job("Pending", observedGeneration=-1)
    new["metadata"]["creationTimestamp"] = ago(seconds=90)
    (first,) = found(new, **sign)
    assert (first.severity, first.reason) == (Severity.WAITING, "JustBegun")
    assert "was started" in first.title
    assert first.command == "kubectl get pods -o wide -l kubetune.dev/job-name=teach -n research"


def test_a_file_that_no_cluster_knows_was_not_submitted() -> None:
    file = job()
    del file["metadata"]["creationTimestamp"]
    (first,) = found(file, live=False)
    assert (first.severity, first.reason, first.command) == (Severity.WAITING, "NotSubmitted", "kubectl apply -f teach.yaml")
    assert [each.reason for each in found(file | {"spec": file["spec"] | {"nodes": 0}}, live=False)] == ["InvalidSpec"]


def test_a_changed_spec_that_was_not_looked_at_is_told_by_its_generation() -> None:
    changed = job("Running", reason="Running")
    changed["metadata"]["generation"] = 2
    assert "generation 2 of the job" in next(each for each in found(changed) if each.reason == "NotObserved").title


def test_an_invalid_spec_is_told_in_the_operators_words_or_in_ours() -> None:
    told = job("Failed", conditions=[condition("Valid", "False", "InvalidSpec", "spec.nodes: 0 is less than 1")])
    assert "condition Valid: spec.nodes: 0 is less than 1" in found(told)[0].evidence
    (first, *_) = found(job(spec={"nodes": 0}), live=False)
    assert (first.severity, first.reason) == (Severity.BLOCKED, "InvalidSpec")
    assert first.evidence == ("spec.nodes: 0 is less than 1; use at least 1",)
    assert first.command == "kubetune validate teach.yaml"


@pytest.mark.parametrize(("phase", "severity"), [("Running", Severity.WAITING), ("Restarting", Severity.BLOCKED)])
def test_a_spec_changed_after_the_start(phase: str, severity: Severity) -> None:
    changed = job(phase, conditions=[condition("Valid", "False", "SpecChanged", "spec.training.learningRate was changed")])
    first = next(each for each in found(changed) if each.reason == "SpecChanged")
    assert first.severity is severity
    assert "new metadata.name" in first.remedy


def test_a_suspended_job_says_from_where_it_will_go_on() -> None:
    state = {"uri": "pvc://o/a/full_state/step_9", "step": 9, "bytes": 1, "kind": "full-state", "verified": True}
    stopped = job(
        "Suspended",
        spec={"runPolicy": {"suspend": True}},
        conditions=[condition("Suspended", "True", "Suspended")],
        checkpoints=[state],
        attempts=[attempt(ended=ago(minutes=9), reason="Suspended")],
    )
    (first,) = found(stopped)
    assert first.reason == "Suspended"
    assert "the last verified state is of step 9: pvc://o/a/full_state/step_9" in first.evidence
    assert first.command == "kubetune resume sftjob/teach -n research"


def test_a_job_that_ran_and_is_queued_again_says_what_took_its_place() -> None:
    over = attempt(ended=ago(minutes=31), reason="Preempted", message="taken back by Kueue: Preempted to accommodate a workload")
    again = attempt(2, started=ago(minutes=30))
    (first,) = found(job("Queued", spec={"queueName": "gpus"}, attempts=[over, again]))
    said = "attempt 1 was Preempted 31 min ago: taken back by Kueue: Preempted to accommodate a workload"
    assert first.evidence == (said, "attempt 2 has been queued for 30 min")


def test_kueues_own_word_goes_before_the_conditions() -> None:
    workload = {
        "metadata": {"name": "pytorchjob-teach-1"},
        "spec": {},
        "status": {
            "conditions": [
                {
                    "type": "QuotaReserved",
                    "status": "False",
                    "reason": "Pending",
                    "message": "insufficient unused quota for nvidia.com/gpu",
                }
            ]
        },
    }
    waiting = job("Queued", conditions=[condition("Admitted", "False", "Queued", "old")], reason="Queued", **QUEUED)
    (first,) = found(waiting, queueing=Queueing(workload=workload, pending={"positionInLocalQueue": 2}))
    assert (first.severity, first.reason) == (Severity.WAITING, "Pending")
    assert first.evidence == (
        "attempt 1 has been queued for 30 min",
        "Kueue: 3rd in queue gpus; insufficient unused quota for nvidia.com/gpu",
    )
    assert first.command == "kubectl describe workload/pytorchjob-teach-1 -n research"


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        ("Inadmissible", "kubectl get localqueues,workloads -n research"),
        ("KueueMissing", "kubectl get crd workloads.kueue.x-k8s.io"),
        ("WorkloadDeactivated", "kubectl get localqueues,workloads -n research"),
    ],
)
def test_a_queue_that_will_never_admit_it_is_blocked(reason: str, command: str) -> None:
    (first,) = found(job("Queued", conditions=[condition("Admitted", "False", reason, "said")], **QUEUED))
    assert (first.severity, first.reason, first.command) == (Severity.BLOCKED, reason, command)


@pytest.mark.parametrize(
    ("message", "reason", "command"),
    [
        (
            'pods "x" is forbidden: exceeded quota: gpus, requested: 8',
            "QuotaExceeded",
            "kubectl describe resourcequota -n research",
        ),
        (
            "Internal error: failed calling webhook v.kb.io: connection refused",
            "Webhook",
            "kubectl describe sftjob/teach -n research",
        ),
        ('admission webhook "p" denied the request: no', "Denied", "kubectl describe sftjob/teach -n research"),
        ("the server could not find the requested resource", "NoTrainingOperator", "kubectl get crd pytorchjobs.kubeflow.org"),
        ("pytorchjobs is forbidden: User x cannot create", "Forbidden", "kubectl describe sftjob/teach -n research"),
        ("something new", "CreateFailed", "kubectl describe sftjob/teach -n research"),
    ],
)
def test_what_the_cluster_refuses_is_told_in_its_words(message: str, reason: str, command: str) -> None:
    (first,) = found(job("Pending", reason="CreateFailed", message=message))
    assert (first.severity, first.reason, first.command) == (Severity.BLOCKED, reason, command)
    assert first.evidence == (message,)


def test_a_quota_that_refuses_pods_is_seen_in_the_training_operators_events() -> None:
    event = warning("FailedCreatePod", 'pods "teach-sft-1-master-0" is forbidden: exceeded quota: gpus', "PyTorchJob/teach-sft-1")
    starting = job("Starting", reason="Starting", attempts=[attempt()])
    assert found(starting, events=[event])[0].reason == "QuotaExceeded"
    assert "QuotaExceeded" not in [each.reason for each in found(starting, events=[event], pods=[runs(1)])]


@pytest.mark.parametrize(
    "reason",
    [
        "WaitingForJob",
        "WaitingForCleanup",
        "WaitingForPods",
        "WaitingForTrainingOperator",
        "Suspending",
        "EvictedByKueue",
        "PodFailed",
    ],
)
def test_waits_that_end_by_themselves(reason: str) -> None:
    (first,) = found(job("Pending", reason=reason, message="for b"))
    assert (first.severity, first.reason, first.evidence) == (Severity.WAITING, reason, ("for b",))


def test_a_back_off_names_the_failure_before_it() -> None:
    failure = {"class": "NodeLost", "reason": "Killed", "message": "killed (exit code 137) on node n1", "node": "n1"}
    between = job(
        "Restarting",
        reason="Backoff",
        attempts=[attempt(ended=ago(seconds=20), reason="NodeLost", lastStep=7)],
        failure=failure,
        restarts=1,
    )
    backoff, cause = found(between)
    assert (backoff.reason, cause.reason, cause.severity) == ("Backoff", "NodeLost", Severity.WAITING)
    assert "attempt 1 ended 20 s ago; 1 restarts so far" in backoff.evidence
    assert cause.command == "kubectl describe node n1"


@pytest.mark.parametrize(("driven", "reasons"), [(False, ["Interrupted"]), (True, ["Running"])])
def test_on_this_machine_a_job_that_nobody_drives_was_interrupted(driven: bool, reasons: list[str]) -> None:
    running = job("Running", reason="Running", attempts=[attempt()], progress=progress(3, 60))
    local = Commands("SFTJob", "research", "teach", state_dir=".kubetune", file="teach.yaml")
    findings = found(running, commands=local, driven=driven)
    assert [each.reason for each in findings][:1] == reasons
    if not driven:
        assert findings[0].command == "kubetune run teach.yaml"


def progress(step: int, seconds: float, **more: Any) -> dict[str, Any]:
    return {"step": step, "totalSteps": 10, "updatedTime": ago(seconds=seconds), **more}


def test_there_is_always_an_answer() -> None:
    (first,) = found(job("Starting", reason="Starting", message="the pods are being created", attempts=[attempt()]))
    assert first.evidence == ("the pods are being created",)
    assert first.command == COMMANDS.pods()
