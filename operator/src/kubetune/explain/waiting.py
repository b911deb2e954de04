"""Why nothing runs (yet): the spec, the operator, a queue, another job, the cluster's refusal, a back-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kubetune.api.status import Phase
from kubetune.controller.queueing import waiting as waiting_in_queue
from kubetune.explain.commands import Commands
from kubetune.explain.evidence import Evidence
from kubetune.explain.finding import Finding, Severity
from kubetune.explain.words import ago, span
from kubetune_trainer.contract import FailureClass

OPERATOR_SECONDS = 60.0
"""After which a job that the operator has not looked at is no matter of a busy moment."""

OPERATOR_NAMESPACE = "kubetune-system"

CHANGED_REMEDY = "restore the spec, or give the changed one a new metadata.name (resumeFrom takes this job's checkpoint)"


def not_looked_at(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """No status, or one of an earlier generation: the operator is not there, or not for this namespace."""
    seen = evidence.status.observed_generation
    if finished(evidence) or commands.local:
        return
    if evidence.status.phase is not None and seen is not None and seen >= evidence.generation:
        return
    if evidence.created is None and not evidence.live:
        if not evidence.errors:
            yield Finding(
                Severity.WAITING,
                "NotSubmitted",
                "it is valid, and was not submitted where was looked",
                (),
                "submit it",
                commands.again(),
            )
        return
    waited = evidence.since(evidence.created)
    first = seen in (None, -1)
    if first and begun(evidence):
        yield just_begun(evidence, commands)
        return
    severity = Severity.BLOCKED if first and waited > OPERATOR_SECONDS and evidence.live else Severity.WAITING
    what = "the job" if first else f"generation {evidence.generation} of the job"
    yield Finding(
        severity,
        "NotObserved",
        f"the operator has not looked at {what} yet",
        (f"created {ago(evidence, evidence.created)}; status.observedGeneration is {seen}",),
        "see that the operator runs, and that its --namespace and --selector take in this job",
        f"kubectl get pods -n {OPERATOR_NAMESPACE}",
        "docs/helm.md",
    )


def begun(evidence: Evidence) -> bool:
    """The operator writes nothing of a first attempt until there is news of it: what it made is the first sign."""
    return bool(evidence.pods) or any(event.about.startswith("PyTorchJob/") for event in evidence.events)


def just_begun(evidence: Evidence, commands: Commands) -> Finding:
    there = f"its pods are there: {', '.join(each.name for each in evidence.pods)}" if evidence.pods else "its PyTorchJob is there"
    return Finding(
        Severity.WAITING,
        "JustBegun",
        "its first attempt was started; the status speaks of it when its pods run, or cannot",
        (f"created {ago(evidence, evidence.created)}; {there}",),
        "wait some seconds",
        commands.pods(),
        "docs/status.md",
    )


def interrupted(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """The embedded cluster lives as long as `kubetune run` does."""
    if evidence.driven is not False or finished(evidence):
        return
    yield Finding(
        Severity.BLOCKED,
        "Interrupted",
        "no `kubetune run` is at it: it was interrupted or killed",
        (f"phase {evidence.status.phase or Phase.PENDING} on disk, and no process holds the job", *saved(evidence)),
        "type the same command again: it goes on from there",
        commands.again(),
        "docs/recovery.md",
    )


def invalid(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """The operator's word where there is one; else what it will say."""
    valid = evidence.condition("Valid")
    if valid is not None and valid.status == "False":
        changed = valid.reason == "SpecChanged"
        title = "what is trained was changed after the start" if changed else "the spec is not valid"
        remedy = CHANGED_REMEDY if changed else "mend it, and apply it again"
        severity = Severity.WAITING if evidence.status.phase in (Phase.RUNNING, Phase.STARTING) else Severity.BLOCKED
        yield Finding(
            severity, valid.reason, title, (f"condition Valid: {valid.message}",), remedy, commands.validate(), "docs/validation.md"
        )
    elif valid is None and evidence.errors:
        yield Finding(
            Severity.BLOCKED,
            "InvalidSpec",
            "the spec is not valid",
            tuple(evidence.errors.splitlines()),
            "mend it",
            commands.validate(),
            "docs/validation.md",
        )


def suspended(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    wanted = evidence.job is not None and evidence.job.spec.run_policy.effective_suspend
    if evidence.status.phase is not Phase.SUSPENDED and not (wanted and evidence.status.phase in (None, Phase.PENDING)):
        return
    condition = evidence.condition("Suspended")
    since = (f"condition Suspended since {ago(evidence, condition.last_transition_time)}",) if condition else ()
    yield Finding(
        Severity.BLOCKED,
        "Suspended",
        "runPolicy.suspend is true: nothing is started",
        (*since, *saved(evidence)),
        "resume it when you like: it goes on from its last checkpoint",
        commands.resume(),
        "docs/recovery.md",
    )


def saved(evidence: Evidence) -> Iterator[str]:
    """From where the next attempt goes on."""
    states = [each for each in evidence.status.checkpoints if each.kind == "full-state" and each.verified]
    if states:
        newest = max(states, key=lambda each: each.step)
        yield f"the last verified state is of step {newest.step}: {newest.uri}"
    elif evidence.status.attempts:
        yield "no full state was saved: the next attempt starts from the beginning"


def queued(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """Kueue's own word where it was read, the operator's otherwise."""
    if evidence.status.phase is not Phase.QUEUED:
        return
    admitted = evidence.condition("Admitted")
    reason, message = (admitted.reason, admitted.message) if admitted else ("Queued", "")
    if evidence.queue is not None:
        reason, message = waiting_in_queue(evidence.queue)
    attempt = evidence.attempt
    waited = f"attempt {attempt.number} has been queued for {span(evidence.since(attempt.started))}" if attempt else "it is queued"
    severity = Severity.BLOCKED if reason in STUCK_QUEUES or "inactive" in message else Severity.WAITING
    yield Finding(
        severity,
        reason,
        QUEUE_TITLES.get(reason, "Kueue has not admitted it yet: it waits for quota"),
        (*taken_back(evidence), waited, *((f"Kueue: {message}",) if message else ())),
        "the message says what helps" if severity is Severity.BLOCKED else "wait, give it a priority, or choose another queue",
        queue_command(evidence, commands, reason),
        "docs/kueue.md",
    )


def taken_back(evidence: Evidence) -> Iterator[str]:
    """Why a job that ran stands in the queue again."""
    before = [each for each in evidence.status.attempts if each.ended][-1:]
    for attempt in before:
        if attempt.reason == FailureClass.PREEMPTED:
            yield f"attempt {attempt.number} was Preempted {ago(evidence, attempt.ended)}: {attempt.message or 'no message'}"


STUCK_QUEUES = frozenset({"Inadmissible", "WorkloadDeactivated", "KueueMissing"})
QUEUE_TITLES = {
    "Inadmissible": "its queue cannot admit anything",
    "WorkloadDeactivated": "its Workload was deactivated",
    "KueueMissing": "spec.queueName is set, but the cluster has no Kueue",
    "Queued": "Kueue has not said anything about it yet",
}


def queue_command(evidence: Evidence, commands: Commands, reason: str) -> str:
    if reason == "KueueMissing":
        return "kubectl get crd workloads.kueue.x-k8s.io"
    if evidence.queue and evidence.queue.workload:
        return commands.describe(f"workload/{evidence.queue.workload}")
    return commands.get("localqueues,workloads")


def other_job(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """A wait that ends by itself, or when somebody ends the other."""
    titles = {
        "WaitingForJob": ("it waits for the job that resumeFrom.jobRef names", "see how far that one is"),
        "WaitingForCleanup": ("an earlier job of this name is still being removed", "wait: the garbage collector is at it"),
        "WaitingForTrainingOperator": (
            "the training operator has not taken note of the next attempt's PyTorchJob",
            "see whether it runs: pods are made when it has",
        ),
        "WaitingForPods": ("pods of the last attempt still run", "wait: the next attempt must not run beside them"),
        "PodFailed": ("a pod failed; the others have a moment to say why", "wait some seconds"),
        "EvictedByKueue": ("Kueue takes its pods back", "wait: the next attempt is queued when they have ended"),
        "Suspending": ("its pods are being stopped, with a checkpoint if the time suffices", "wait"),
    }
    if evidence.reason not in titles or finished(evidence):
        return
    title, remedy = titles[evidence.reason]
    asked = {
        "WaitingForJob": commands.get("sftjobs,osftjobs"),
        "WaitingForTrainingOperator": "kubectl get pods -A -l control-plane=kubeflow-training-operator",
    }
    command = asked.get(evidence.reason) or commands.pods()
    yield Finding(Severity.WAITING, evidence.reason, title, (evidence.message,) if evidence.message else (), remedy, command)


REFUSALS: tuple[tuple[str, str, str, str], ...] = (
    (
        "exceeded quota",
        "QuotaExceeded",
        "a ResourceQuota of the namespace is used up",
        "ask for less, end other jobs, or have the quota raised",
    ),
    ("failed calling webhook", "Webhook", "an admission webhook does not answer", "see that the service it names runs"),
    ("denied the request", "Denied", "an admission webhook or policy refuses the PyTorchJob", "the message says what it wants"),
    (
        "could not find the requested resource",
        "NoTrainingOperator",
        "the cluster has no PyTorchJob",
        "install Kubeflow's training operator 1.9",
    ),
    ("forbidden", "Forbidden", "the operator may not do that", "see that the rights of deploy/ are there"),
)
"""(part of the cluster's words, reason, title, remedy)."""


def refused(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """The cluster refuses the PyTorchJob, or the training operator its pods."""
    if finished(evidence):
        return
    words = [evidence.message] if evidence.reason in ("CreateFailed", "DeleteFailed", "PodsRefused") else []
    if not words and not evidence.pods:
        words = [each.message for each in evidence.warnings("FailedCreatePod", "FailedCreate", "CreateFailed")][-1:]
    for said in words:
        known = next((each for each in REFUSALS if each[0] in said.lower()), None)
        _, reason, title, remedy = known or (
            "",
            "CreateFailed",
            "the cluster refuses what the job needs",
            "the message is the cluster's own",
        )
        command = commands.describe("resourcequota") if reason == "QuotaExceeded" else commands.describe()
        if reason == "NoTrainingOperator":
            command = "kubectl get crd pytorchjobs.kubeflow.org"
        yield Finding(Severity.BLOCKED, reason, title, (said,), remedy, command)


def backoff(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    if evidence.reason != "Backoff" or evidence.attempt is None or finished(evidence):
        return
    ended = evidence.attempt.ended
    yield Finding(
        Severity.WAITING,
        "Backoff",
        "the next attempt follows after a back-off, which doubles with every failure in a row, from 10 s to 5 min",
        (
            f"attempt {evidence.attempt.number} ended {ago(evidence, ended)}; {evidence.status.restarts} restarts so far",
            *saved(evidence),
        ),
        "nothing, unless the failures repeat",
        commands.watch(),
    )


def finished(evidence: Evidence) -> bool:
    return evidence.status.phase is not None and evidence.status.phase.finished


RULES: tuple[Callable[[Evidence, Commands], Iterator[Finding]], ...] = (
    invalid,
    interrupted,
    suspended,
    not_looked_at,
    queued,
    refused,
    other_job,
    backoff,
)
