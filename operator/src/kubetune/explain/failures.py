"""What each class of failure means, and what helps (docs/failures.md says how it is recognised)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubetune.api.status import Failure, Phase
from kubetune.explain.commands import Commands
from kubetune.explain.evidence import Evidence
from kubetune.explain.finding import Finding, Severity
from kubetune.explain.words import ago, last_line
from kubetune_trainer.contract import FailureClass

PAGE = "docs/failures.md"


@dataclass(frozen=True)
class Advice:
    """Of one class."""

    meaning: str
    remedy: str
    command: Callable[[Commands, Failure], str]


def memory_limit(commands: Commands, _failure: Failure) -> str:
    return commands.patch('{"resources":{"limits":{"memory":"128Gi"}}}')


def of_the_pod(commands: Commands, failure: Failure) -> str:
    return commands.describe(f"pod/{failure.pod}") if failure.pod else commands.pods()


def of_the_node(commands: Commands, failure: Failure) -> str:
    return f"kubectl describe node {failure.node}" if failure.node and not commands.local else commands.pods()


def its_log(commands: Commands, failure: Failure) -> str:
    return commands.logs(failure.pod or "")


ADVICE: dict[FailureClass, Advice] = {
    FailureClass.USER_ERROR: Advice(
        "the spec, the model or the output was refused; the same job would be refused again",
        "change what the message names; what is trained is fixed once a job has started: give the mended one a new metadata.name",
        lambda commands, _: commands.validate(),
    ),
    FailureClass.DATA_ERROR: Advice(
        "the data set was refused before anything was trained",
        "mend the rows that the message names (docs/data.md has the formats)",
        its_log,
    ),
    FailureClass.CUDA_OOM: Advice(
        "a GPU's memory did not suffice",
        "lower training.maxTokensPerGpu (the effective batch stays) or raise nodes x procsPerNode, in a job of a new name",
        lambda commands, _: commands.estimate(),
    ),
    FailureClass.HOST_OOM: Advice(
        "the main memory of a pod or its node did not suffice",
        "raise resources.limits.memory: it counts from the next attempt on, also for this job",
        memory_limit,
    ),
    FailureClass.RENDEZVOUS_TIMEOUT: Advice(
        "a node did not come to the rendezvous in time",
        "see why that node's pod did not run, and that pods of the namespace may reach each other (NetworkPolicy)",
        lambda commands, _: commands.pods(),
    ),
    FailureClass.NODE_LOST: Advice(
        "a pod was killed, or its node is gone",
        "another attempt follows by itself, from the last checkpoint; if it is one node again and again, cordon it",
        of_the_node,
    ),
    FailureClass.PREEMPTED: Advice(
        "its pods were taken away for something more urgent, or a node was drained; that uses up no backoffLimit",
        "nothing: it goes on from its last checkpoint; a priority (template.priorityClassName, Kueue's label) spares it more",
        lambda commands, _: commands.watch(),
    ),
    FailureClass.DISK_FULL: Advice(
        "a disk was full",
        "free space where the message says, enlarge the claim, or keep less: checkpoint.keep, checkpoint.keepWeights",
        lambda commands, _: f"df -h {commands.state_dir}" if commands.local else commands.kubectl("get", "pvc"),
    ),
    FailureClass.NON_FINITE_LOSS: Advice(
        "the loss became NaN or infinite",
        "lower training.learningRate, or give it training.warmupSteps; look for samples without a label (docs/data.md)",
        its_log,
    ),
    FailureClass.HANG: Advice(
        "no step was done for runPolicy.progressDeadlineSeconds",
        "the message names the rank that stands still, the output holds the stacks of all; if saves take so long, raise the limit",
        its_log,
    ),
    FailureClass.IMAGE_PULL: Advice(
        "the trainer's image cannot be pulled",
        "correct spec.image, or name the registry's Secret in template.imagePullSecrets",
        of_the_pod,
    ),
    FailureClass.DEADLINE_EXCEEDED: Advice(
        "the job was active for longer than runPolicy.activeDeadlineSeconds",
        "raise runPolicy.activeDeadlineSeconds",
        lambda commands, _: commands.describe(),
    ),
    FailureClass.CHILD_LOST: Advice(
        "somebody deleted the attempt's PyTorchJob",
        "another attempt follows by itself; to stop a job set runPolicy.suspend, or delete the job itself",
        lambda commands, _: commands.describe(),
    ),
    FailureClass.BACKEND_ERROR: Advice(
        "the training library failed, or a process was killed for no known reason",
        "the end of the log has the error of the rank that failed first",
        its_log,
    ),
}


def failed(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """The job's end, or that of the attempt that another one follows."""
    failure, phase = evidence.status.failure, evidence.status.phase
    if failure is None or phase is Phase.SUCCEEDED:
        return
    if phase is Phase.FAILED:
        yield finding(evidence, commands, failure, Severity.FAILED)
    elif evidence.attempt and evidence.attempt.ended and evidence.attempt.reason == failure.failure_class.value:
        yield finding(evidence, commands, failure, Severity.WAITING)


def finding(evidence: Evidence, commands: Commands, failure: Failure, severity: Severity) -> Finding:
    advice = ADVICE[failure.failure_class]
    what = (
        "the job Failed"
        if severity is Severity.FAILED
        else f"attempt {evidence.attempt.number if evidence.attempt else '?'} failed"
    )
    return Finding(
        severity,
        failure.failure_class.value,
        f"{what}: {advice.meaning}",
        tuple(evidence_of_failure(evidence, failure)),
        remedy(advice, failure, evidence, commands),
        advice.command(commands, failure) if failure.reason not in SPECIAL else SPECIAL[failure.reason][1](commands),
        PAGE,
    )


SPECIAL: dict[str, tuple[str, Callable[[Commands], str]]] = {
    "InvalidSpec": ("mend the spec and apply it again under the same name: nothing has started yet", lambda c: c.validate()),
    "NameTaken": ("delete that PyTorchJob if nobody needs it, then create this job again", lambda c: c.get("pytorchjobs")),
    "UpstreamFailed": (
        "name a job that Succeeded in resumeFrom.jobRef, or run that one again",
        lambda c: c.get("sftjobs,osftjobs"),
    ),
}
"""Reasons that ask for something else than their class does."""


IN_A_NEW_JOB = frozenset({FailureClass.USER_ERROR, FailureClass.CUDA_OOM, FailureClass.NON_FINITE_LOSS})
"""What mends them is part of what is trained, and that is fixed once a job has started."""

OUTSIDE_THE_SPEC = "if what was wrong lies outside the spec (a file, its rights, a Secret, a volume) and is mended"

BY_ITSELF = "another attempt follows by itself"


def remedy(advice: Advice, failure: Failure, evidence: Evidence, commands: Commands) -> str:
    if failure.reason in SPECIAL:
        return SPECIAL[failure.reason][0]
    if evidence.status.phase is not Phase.FAILED:
        return advice.remedy
    again = f"`{commands.retry()}` lets it go on from its last verified state"
    if failure.failure_class in IN_A_NEW_JOB:
        around = failure.failure_class is FailureClass.USER_ERROR and evidence.attempt is not None
        return f"{advice.remedy}; {OUTSIDE_THE_SPEC}, {again}" if around else advice.remedy
    return (
        advice.remedy.replace(BY_ITSELF, f"the retries are used up; {again}")
        if BY_ITSELF in advice.remedy
        else f"{advice.remedy}; then {again}"
    )


def evidence_of_failure(evidence: Evidence, failure: Failure) -> Iterator[str]:
    yield f"status.failure: {failure.failure_class.value}: {failure.message}"
    place = [f"pod {failure.pod}" if failure.pod else "", f"node {failure.node}" if failure.node else ""]
    if any(place):
        code = f", exit code {failure.exit_code}" if failure.exit_code is not None else ""
        yield f"on {', '.join(filter(None, place))}{code}"
    final = evidence.condition("Failed")
    if evidence.status.phase is Phase.FAILED and final and final.message and final.message != failure.message:
        yield f"condition Failed: {final.message}"
    if failure.log_tail and failure.failure_class not in (FailureClass.USER_ERROR, FailureClass.DATA_ERROR):
        yield f"last line of its log: {last_line(failure.log_tail)}"
    if evidence.attempt and evidence.attempt.ended:
        attempt = evidence.attempt
        where = f"after step {attempt.last_step}" if attempt.last_step else "before its first step"
        yield f"attempt {attempt.number} ended {ago(evidence, attempt.ended)}, {where}"
