"""Why pods do not start: the scheduler's, the kubelet's and the registry's words."""

from __future__ import annotations

from collections.abc import Iterator

from kubetune.controller.pods import PodState
from kubetune.explain.commands import Commands
from kubetune.explain.evidence import Evidence
from kubetune.explain.finding import Finding, Severity
from kubetune.explain.waiting import finished
from kubetune.explain.words import ago

STARTING_SECONDS = 300.0
"""For which a container that is being created is no news: a large image is being pulled."""

SCHEDULER: tuple[tuple[str, str, str], ...] = (
    ("insufficient nvidia.com/gpu", "not enough free GPUs on any one node", "wait, ask for fewer (procsPerNode), or add nodes"),
    ("insufficient memory", "not enough free memory on any one node", "lower resources.requests.memory, or add nodes"),
    ("insufficient cpu", "not enough free CPU on any one node", "lower resources.requests.cpu, or add nodes"),
    ("persistentvolumeclaim", "a claim is missing or not bound", "make the claim, or see why it is not bound"),
    ("volume node affinity", "its volume is bound to another node", "use a claim that the node can mount, or free that node"),
    ("node affinity", "no node matches template.nodeSelector or affinity", "correct them, or label a node"),
    ("untolerated taint", "the nodes bear taints that the job does not tolerate", "add template.tolerations"),
    ("too many pods", "the nodes have no room for more pods", "wait, or add nodes"),
)
"""(part of the scheduler's message, title, remedy), the most telling first."""

IMAGE = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}
)
CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
VOLUMES = ("FailedMount", "FailedAttachVolume", "FailedMapVolume")


def starting(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """Of pods that do not run; one finding a reason, with all the pods that it holds."""
    if finished(evidence):
        return
    held = [each for each in evidence.pods if not each.running and not each.ended]
    yield from unschedulable(held, commands)
    yield from waiting(held, evidence, commands)
    yield from unmounted(held, evidence, commands)
    if not evidence.pods:
        yield from from_the_status(evidence, commands)


def unschedulable(held: list[PodState], commands: Commands) -> Iterator[Finding]:
    by_message: dict[str, list[PodState]] = {}
    for pod in held:
        if pod.unschedulable:
            by_message.setdefault(pod.unschedulable, []).append(pod)
    for message, pods in by_message.items():
        yield no_node(message, [pod.name for pod in pods], commands)


def no_node(message: str, names: list[str], commands: Commands) -> Finding:
    title, remedy = next(
        ((title, remedy) for part, title, remedy in SCHEDULER if part in message.lower()),
        ("no node takes its pods", "the scheduler's message says why"),
    )
    volume = "claim" in title or "volume" in title
    command = (
        commands.get("pvc")
        if volume
        else "kubectl describe nodes"
        if "GPU" in title or "free" in title
        else commands.describe(f"pod/{names[0]}")
    )
    return Finding(Severity.BLOCKED, "Unschedulable", title, (f"scheduler, of {listed(names)}: {message}",), remedy, command)


def waiting(held: list[PodState], evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    reasons = {pod.waiting_reason for pod in held if pod.waiting_reason}
    for reason in sorted(filter(None, reasons)):
        pods = [pod for pod in held if pod.waiting_reason == reason]
        yield container_waits(reason, pods[0].waiting_message, [pod.name for pod in pods], evidence, commands)


def container_waits(reason: str, message: str, names: list[str], evidence: Evidence, commands: Commands) -> Finding:
    if reason in IMAGE:
        title, remedy = (
            "its image cannot be pulled",
            "correct spec.image, or name the registry's Secret in template.imagePullSecrets",
        )
        image = evidence.job.spec.image if evidence.job else None
        said = (f"kubelet, of {listed(names)}: {reason}: {message}", *((f"spec.image: {image}",) if image else ()))
        return Finding(Severity.BLOCKED, reason, title, said, remedy, commands.describe(f"pod/{names[0]}"), "docs/failures.md")
    title = "its container cannot be made" if reason in CONFIG else f"its container waits: {reason}"
    remedy = "make the Secret or ConfigMap that the message names" if reason in CONFIG else "the kubelet's message says why"
    said = (f"kubelet, of {listed(names)}: {reason}: {message}",)
    return Finding(Severity.BLOCKED, reason, title, said, remedy, commands.describe(f"pod/{names[0]}"), "docs/failures.md")


def unmounted(held: list[PodState], evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """Scheduled, not waiting for anything that is told in the status, and not running."""
    silent = [pod for pod in held if pod.node and not pod.waiting_reason and evidence.since(pod.created) > STARTING_SECONDS]
    if not silent:
        return
    names = {f"Pod/{pod.name}" for pod in silent}
    mounts = [event for event in evidence.warnings(*VOLUMES) if event.about in names]
    said: tuple[str, ...] = (
        f"{listed([pod.name for pod in silent])}: created {ago(evidence, silent[0].created)}, no container runs yet",
    )
    if mounts:
        title, remedy, reason = "a volume cannot be mounted", "the event says which, and why", mounts[-1].reason
        said = (*said, f"event {reason}: {mounts[-1].message}")
    else:
        title, remedy, reason = (
            "its containers are still being created",
            "a large image takes minutes; the pod's events say",
            "ContainerCreating",
        )
    severity = Severity.BLOCKED if mounts else Severity.SLOW
    yield Finding(severity, reason, title, said, remedy, commands.describe(f"pod/{silent[0].name}"))


def from_the_status(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """Where pods could not be looked at, the operator's condition says the same."""
    name, _, message = evidence.message.partition(": ")
    if evidence.reason == "Unschedulable":
        yield no_node(message or evidence.message, [name], commands)
    elif evidence.reason in IMAGE | CONFIG:
        yield container_waits(evidence.reason, message or evidence.message, [name], evidence, commands)


def listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
