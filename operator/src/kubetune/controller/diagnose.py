"""Why an attempt failed: from the trainer's own words where there are any, else from what Kubernetes saw. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kubetune.api.status import MAX_LOG_TAIL, MAX_MESSAGE, MAX_REASON, Failure
from kubetune.controller.bounds import clip, clip_front
from kubetune.controller.observe import Observation
from kubetune.controller.pods import PodState
from kubetune.controller.settings import ControllerSettings
from kubetune_trainer.contract import ExitCode, FailureClass

ROOT_CAUSES = frozenset(
    {
        FailureClass.USER_ERROR,
        FailureClass.DATA_ERROR,
        FailureClass.CUDA_OOM,
        FailureClass.HOST_OOM,
        FailureClass.DISK_FULL,
        FailureClass.NON_FINITE_LOSS,
    }
)
"""What a rank cannot catch from another one: a broken connection or a late rendezvous it can."""

IMAGE_WAITS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}
)
HOPELESS_WAITS = frozenset({"ErrImageNeverPull", "InvalidImageName"})
"""No registry was asked, so none can answer better later."""

CONFIG_WAITS = frozenset({"CreateContainerConfigError", "CreateContainerError"})

PREEMPTIONS = frozenset({"PreemptionByScheduler", "EvictionByEvictionAPI", "TerminationByKubelet"})
"""Reasons of a pod's condition DisruptionTarget (kubernetes.io: Disruptions) that are somebody's decision, not a fault."""

FAR_FUTURE = datetime.max.replace(tzinfo=UTC)


def diagnose(observed: Observation, settings: ControllerSettings, now: datetime) -> Failure | None:
    """The failure of the live attempt; None while nothing has failed. Whoever failed first says why, unless it only followed."""
    failed = sorted((pod for pod in observed.pods if pod.failed), key=lambda p: p.finished or p.deletion or FAR_FUTURE)
    if observed.child is None or observed.child.deleting:
        return _child_lost(observed, failed)
    if failed:
        return root_cause([failure_of(pod, _number(observed)) for pod in failed])
    return _unproved_success(observed) or _stuck_start(observed, settings, now) or _failed_without_pods(observed)


def root_cause(failures: list[Failure]) -> Failure:
    """The first one, unless it says nothing of its own and a later one names a root cause."""
    first = failures[0]
    if is_secondhand(first):
        return next((f for f in failures if f.failure_class in ROOT_CAUSES), first)
    return first


def is_secondhand(failure: Failure) -> bool:
    """Whether another pod may know better: a trainer that lost another node cannot know what that node died of."""
    lost_another = failure.failure_class is FailureClass.NODE_LOST and failure.reason == FailureClass.NODE_LOST.value
    return lost_another or failure.failure_class in (FailureClass.BACKEND_ERROR, FailureClass.RENDEZVOUS_TIMEOUT)


def settled(observed: Observation, failure: Failure, settings: ControllerSettings, now: datetime) -> bool:
    """Whether no better diagnosis can be expected: every pod has ended, or those that still run have had their time."""
    if not is_secondhand(failure):
        return True
    ends = [pod.finished for pod in observed.pods if pod.failed and pod.finished]
    waiting = any(pod.running and not pod.failed for pod in observed.pods)
    return not (waiting and ends) or now - min(ends) >= timedelta(seconds=settings.settle_seconds)


def _number(observed: Observation) -> int:
    return observed.attempt.number if observed.attempt else 0


def failure_of(pod: PodState, number: int) -> Failure:
    """One failed pod's failure: its outcome's class, else by how Kubernetes saw it end."""
    outcome = pod.outcome if pod.outcome and pod.outcome.attempt == number else None
    if outcome and outcome.failure:
        return _failure(
            pod, outcome.failure, outcome.failure.value, outcome.message or "the trainer gave no message", outcome.log_tail
        )
    kind, reason, said = classify(pod)
    problem = f"; {pod.outcome_problem}" if pod.outcome_problem and pod.exit_code is not None else ""
    return _failure(pod, kind, reason, f"{pod.name}: {said}{problem}", None)


def _failure(pod: PodState, kind: FailureClass, reason: str, message: str, tail: str | None) -> Failure:
    return Failure(
        failure_class=kind,
        reason=clip(reason, MAX_REASON) or kind.value,
        message=clip(message, MAX_MESSAGE),
        pod=pod.name,
        node=pod.node,
        exit_code=pod.exit_code,
        log_tail=clip_front(tail, MAX_LOG_TAIL) if tail else None,
    )


def classify(pod: PodState) -> tuple[FailureClass, str, str]:
    """(class, reason, message) of a pod that left no usable outcome."""
    if pod.exit_reason == "OOMKilled":
        return (
            FailureClass.HOST_OOM,
            "OOMKilled",
            "a process was killed because the container reached its memory limit; raise resources.limits.memory",
        )
    if pod.reason == "Evicted":
        return _evicted(pod)
    if pod.disruption in PREEMPTIONS and pod.exit_code != ExitCode.USER_ERROR:
        return FailureClass.PREEMPTED, pod.disruption or "", f"the pod was taken away ({pod.disruption})"
    return _by_exit_code(pod) if pod.exit_code is not None else _lost(pod)


def _by_exit_code(pod: PodState) -> tuple[FailureClass, str, str]:
    match pod.exit_code:
        case ExitCode.USER_ERROR:
            return FailureClass.USER_ERROR, "ExitCode2", "exit code 2, which means that the job's spec or data must be changed"
        case 137:
            return FailureClass.NODE_LOST, "Killed", f"killed (exit code 137) on node {pod.node or '?'}"
        case ExitCode.PREEMPTED:
            return FailureClass.PREEMPTED, "Terminated", "ended by SIGTERM (exit code 143)"
        case _:
            return FailureClass.BACKEND_ERROR, "Error", f"exit code {pod.exit_code} ({pod.exit_reason or 'no reason given'})"


def _lost(pod: PodState) -> tuple[FailureClass, str, str]:
    where = f"node {pod.node}" if pod.node else "no node"
    if pod.deletion is not None:
        return (
            FailureClass.NODE_LOST,
            pod.disruption or "PodDeleted",
            f"the pod was deleted while it ran ({pod.disruption or 'by hand'}, {where})",
        )
    return (
        FailureClass.NODE_LOST,
        pod.reason or "PodLost",
        f"the pod failed with no exit code ({pod.reason or 'no reason given'}, {where}) {pod.message}".rstrip(),
    )


def _evicted(pod: PodState) -> tuple[FailureClass, str, str]:
    """The kubelet's own evictions name the resource that ran out."""
    text = pod.message.lower()
    if "memory" in text:
        return FailureClass.HOST_OOM, "Evicted", f"the node ran out of memory: {pod.message}"
    if "storage" in text or "disk" in text or "inode" in text:
        return FailureClass.DISK_FULL, "Evicted", f"the node ran out of disk: {pod.message}"
    return FailureClass.PREEMPTED, "Evicted", f"evicted: {pod.message}"


def _child_lost(observed: Observation, failed: list[PodState]) -> Failure:
    """Deleted by hand; its pods' last words count only if they failed for a reason of their own before that."""
    causes = [failure_of(pod, _number(observed)) for pod in failed]
    own = next((f for f in causes if f.failure_class in ROOT_CAUSES), None)
    name = observed.attempt.py_torch_job if observed.attempt else "?"
    message = f"PyTorchJob {name} was deleted while its attempt ran; to stop a job, set runPolicy.suspend or delete the job itself"
    return own or Failure(failure_class=FailureClass.CHILD_LOST, reason="ChildLost", message=message)


def _unproved_success(observed: Observation) -> Failure | None:
    """Exit code 0 is not enough: backends have been seen to return without having trained."""
    child, master, outcome = observed.child, observed.master, observed.outcome
    if not ((child and child.succeeded) or (master and master.finished_well)):
        return None
    if outcome and outcome.failure and master:
        return _failure(master, outcome.failure, outcome.failure.value, outcome.message or "exit code 0", outcome.log_tail)
    said = _what_is_missing(observed)
    failure = Failure(
        failure_class=FailureClass.BACKEND_ERROR,
        reason="NotReachedEnd",
        message=clip(f"exit 0 without reachedEnd: {said}", MAX_MESSAGE),
    )
    place = {"pod": master.name, "node": master.node, "exit_code": master.exit_code} if master else {}
    tail = {"log_tail": clip_front(outcome.log_tail, MAX_LOG_TAIL)} if outcome and outcome.log_tail else {}
    return failure.model_copy(update=place | tail)


def _what_is_missing(observed: Observation) -> str:
    master, outcome = observed.master, observed.outcome
    if master is None:
        return "the master's pod is gone, and its outcome with it"
    if outcome is None:
        return master.outcome_problem or f"its outcome is of attempt {master.outcome.attempt if master.outcome else '?'}"
    if not outcome.reached_end:
        return f"it stopped at step {outcome.step} of {outcome.total_steps or '?'}"
    return "the checkpoint of its last step was not verified"


def _stuck_start(observed: Observation, settings: ControllerSettings, now: datetime) -> Failure | None:
    """A container that cannot be started: no use to wait for ever."""
    for pod in observed.pods:
        waited = (now - pod.created).total_seconds() if pod.created else 0.0
        if pod.waiting_reason in HOPELESS_WAITS or waited >= settings.waiting_grace_seconds:
            kind = _class_of_wait(pod)
            if kind:
                return _failure(
                    pod, kind, pod.waiting_reason or "", f"{pod.name}: {pod.waiting_reason}: {pod.waiting_message}", None
                )
    return None


def _class_of_wait(pod: PodState) -> FailureClass | None:
    if pod.waiting_reason in IMAGE_WAITS:
        return FailureClass.IMAGE_PULL
    return FailureClass.USER_ERROR if pod.waiting_reason in CONFIG_WAITS else None


def _failed_without_pods(observed: Observation) -> Failure | None:
    child = observed.child
    if child is None or not child.failed:
        return None
    progress = observed.status.progress
    if progress is not None and progress.ended is not None and observed.step is not None:
        message = (
            f"{child.name} failed and its pods are gone; the trainer's last report, after step {progress.step}: {progress.ended}"
        )
        return Failure(failure_class=progress.ended, reason=progress.ended.value, message=message)
    return Failure(
        failure_class=FailureClass.NODE_LOST, reason="PodLost", message=clip(f"{child.name} failed: {child.message}", MAX_MESSAGE)
    )
