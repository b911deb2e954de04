from __future__ import annotations

import pytest
from explained import ago, attempt, found, job, pod, runs, unscheduled, waits, warning

from kubetune.explain import Severity

STARTING = job("Starting", reason="Starting", attempts=[attempt()])


@pytest.mark.parametrize(
    ("message", "title", "command"),
    [
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "not enough free GPUs", "kubectl describe nodes"),
        ("0/3 nodes are available: 3 Insufficient memory.", "not enough free memory", "kubectl describe nodes"),
        ('persistentvolumeclaim "data" not found', "a claim is missing", "kubectl get pvc -n research"),
        ("1 node(s) had untolerated taint {gpu: true}.", "taints", "kubectl describe pod/teach-sft-1-master-0 -n research"),
        (
            "3 node(s) didn't match Pod's node affinity/selector.",
            "no node matches",
            "kubectl describe pod/teach-sft-1-master-0 -n research",
        ),
        ("something new", "no node takes its pods", "kubectl describe pod/teach-sft-1-master-0 -n research"),
    ],
)
def test_the_schedulers_words_and_what_helps(message: str, title: str, command: str) -> None:
    (first,) = found(STARTING, pods=[unscheduled("teach-sft-1-master-0", message)])
    assert (first.severity, first.reason) == (Severity.BLOCKED, "Unschedulable")
    assert title in first.title
    assert first.evidence == (f"scheduler, of teach-sft-1-master-0: {message}",)
    assert first.command == command


def test_pods_with_the_same_trouble_are_one_finding() -> None:
    names = ["teach-sft-1-master-0", "teach-sft-1-worker-0", "teach-sft-1-worker-1"]
    findings = found(STARTING, pods=[unscheduled(name, "Insufficient nvidia.com/gpu") for name in names])
    assert len(findings) == 1
    assert "teach-sft-1-master-0 and 2 more" in findings[0].evidence[0]


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled_is_named(reason: str) -> None:
    (first,) = found(job("Starting", spec={"image": "r/i:1"}, attempts=[attempt()]), pods=[waits(reason, "not found")])
    assert (first.severity, first.reason) == (Severity.BLOCKED, reason)
    assert first.evidence == (f"kubelet, of teach-sft-1-master-0: {reason}: not found", "spec.image: r/i:1")
    assert "imagePullSecrets" in first.remedy


def test_a_missing_secret_keeps_the_container_from_being_made() -> None:
    (first,) = found(STARTING, pods=[waits("CreateContainerConfigError", 'secret "hf" not found')])
    assert "its container cannot be made" in first.title
    assert 'secret "hf" not found' in first.evidence[0]


def test_a_volume_that_does_not_mount_is_told_by_its_event() -> None:
    event = warning("FailedMount", "claim is still being attached", "Pod/teach-sft-1-master-0")
    held = pod(node="n1", created=ago(minutes=20))
    (first,) = found(STARTING, pods=[held], events=[event])
    assert (first.severity, first.reason) == (Severity.BLOCKED, "FailedMount")
    (slow,) = found(STARTING, pods=[held])
    assert (slow.severity, slow.reason) == (Severity.SLOW, "ContainerCreating")


def test_a_container_that_is_being_made_for_a_minute_is_no_news() -> None:
    (first,) = found(STARTING, pods=[pod(node="n1", created=ago(minutes=1))])
    assert first.reason == "Starting"


def test_where_no_pods_could_be_read_the_condition_says_the_same() -> None:
    (first,) = found(
        job("Starting", reason="Unschedulable", message="teach-sft-1-master-0: Insufficient nvidia.com/gpu"), live=False
    )
    assert (first.reason, first.evidence) == ("Unschedulable", ("scheduler, of teach-sft-1-master-0: Insufficient nvidia.com/gpu",))
    (first,) = found(job("Starting", reason="ImagePullBackOff", message="teach-sft-1-master-0: no such image"), live=False)
    assert "its image cannot be pulled" in first.title


def test_one_pod_that_runs_hides_none_that_does_not() -> None:
    findings = found(STARTING, pods=[runs(5), unscheduled("teach-sft-1-worker-0", "Insufficient cpu")])
    assert findings[0].reason == "Unschedulable"
