"""A job that runs, or has Succeeded: is it slow, does it stand still, what does it do?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from kubetune.api.status import JobStatus, Phase
from kubetune.explain.commands import Commands
from kubetune.explain.evidence import Evidence
from kubetune.explain.finding import Finding, Severity
from kubetune.explain.words import ago, span

STILL_SECONDS = 900.0
"""Without a new step, where no progressDeadlineSeconds says what is too long."""

STAGE_SECONDS = 900.0
"""Of one stage before the first step."""

REPEATED = 2
LOST_SHARE = 0.25
"""Of an attempts' time that had to be done again."""

LOST_SECONDS = 120.0
"""Less of it is no matter: a start costs as much."""

STAGES: tuple[tuple[str, str, str], ...] = (
    (
        "svd",
        "OSFT decomposes its matrices",
        "a cache that jobs share (KUBETUNE_SVD_CACHE on a volume) spares it the next time; more ranks share the work",
    ),
    (
        "fetching",
        "the model and the data set are fetched and checked",
        "put them on a volume (pvc://) if many jobs use them; check with more CPU",
    ),
    (
        "tokenis",
        "the data set is being tokenised",
        "give the pods more CPU, or a data set that is tokenised already (format: processed)",
    ),
    (
        "loading the model",
        "the ranks start and load the model",
        "a faster volume helps; see the log, too, for a rank that waits for another",
    ),
)
"""(part of status.progress.stage, title, what helps)."""


def succeeded(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    if evidence.status.phase is not Phase.SUCCEEDED:
        return
    checkpoint = evidence.status.final_checkpoint
    said = f"finalCheckpoint: {checkpoint.uri}, step {checkpoint.step}, verified" if checkpoint else "no final checkpoint is listed"
    yield Finding(
        Severity.FINE,
        "Succeeded",
        "it has Succeeded: the last step was done and its checkpoint verified",
        (said, f"after {duration(evidence.status)}, with {evidence.status.restarts} restarts"),
        "use the checkpoint; resumeFrom.jobRef starts the next job from it",
        commands.describe(),
    )


def duration(status: JobStatus) -> str:
    """From the first start to the end."""
    if status.completion_time is None or status.start_time is None:
        return "an unknown time"
    return span((status.completion_time - status.start_time).total_seconds())


def standing_still(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """No step for too long: as the operator judges it where there is a limit."""
    progress, attempt = evidence.status.progress, evidence.attempt
    if evidence.status.phase is not Phase.RUNNING or progress is None or attempt is None or progress.stage or not stepped(evidence):
        return
    limit = evidence.job.spec.run_policy.progress_deadline_seconds if evidence.job else None
    still = evidence.since(progress.updated_time)
    if still < min(limit or STILL_SECONDS, STILL_SECONDS):
        return
    follows = (
        f"progressDeadlineSeconds is {limit}: the attempt is ended then, with the stacks of all ranks"
        if limit
        else "set runPolicy.progressDeadlineSeconds, and the trainer ends it by itself, tells which rank stands still, and goes on"
    )
    yield Finding(
        Severity.BLOCKED if still > (limit or 2 * STILL_SECONDS) else Severity.SLOW,
        "NoProgress",
        f"no new step for {span(still)}",
        (f"status.progress: step {progress.step}, {ago(evidence, progress.updated_time)}",),
        follows,
        commands.patch('{"runPolicy":{"progressDeadlineSeconds":1800}}') if not limit else commands.logs(),
        "docs/failures.md",
    )


def stepped(evidence: Evidence) -> bool:
    """Whether the progress is this attempt's."""
    progress, attempt = evidence.status.progress, evidence.attempt
    return bool(progress and attempt and progress.updated_time and progress.updated_time >= attempt.started)


def before_the_first_step(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """What the attempt does meanwhile, and whether that takes long."""
    attempt = evidence.attempt
    stage = evidence.status.progress.stage if evidence.status.progress else None
    if evidence.status.phase is not Phase.RUNNING or attempt is None or (stepped(evidence) and not stage):
        return
    running = next((pod.started for pod in evidence.pods if pod.master and pod.started), None) or attempt.started
    waited = evidence.since(running)
    title, remedy = next(
        ((title, remedy) for part, title, remedy in STAGES if stage and part in stage.lower()),
        ("no step was done yet", "models are loaded and data prepared before the first step"),
    )
    silent = not stage and waited > STAGE_SECONDS
    if silent and evidence.job and evidence.job.spec.template and evidence.job.spec.template.service_account_name:
        title, remedy = (
            "no step was ever reported",
            "bind template.serviceAccountName to the ClusterRole kubetune-trainer: without that it trains and reports nothing",
        )
    slow = waited > STAGE_SECONDS
    yield Finding(
        Severity.SLOW if slow else Severity.FINE,
        "SlowStart" if slow else "Starting",
        f"{title}; its master has run for {span(waited)}",
        (f"status.progress.stage: {stage}",) if stage else (f"attempt {attempt.number} started {ago(evidence, attempt.started)}",),
        remedy,
        commands.logs(),
    )


def repeated_failures(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """The same class again and again: trying once more will not help."""
    reasons = Counter(a.reason for a in evidence.status.attempts if a.ended and a.reason not in ("Succeeded", "Suspended", None))
    for reason, times in reasons.most_common():
        if times < REPEATED:
            return
        mine = [a for a in evidence.status.attempts if a.reason == reason]
        steps = ", ".join(str(a.last_step or 0) for a in mine)
        nodes = " at the same step" if len({a.last_step for a in mine}) == 1 else ""
        yield Finding(
            Severity.SLOW,
            "RepeatedFailure",
            f"{times} attempts ended as {reason}{nodes}",
            (f"last steps of these attempts: {steps}", f"the last one: {mine[-1].message or 'no message'}"),
            "mend the cause: each retry costs the time since the last full state",
            commands.describe(),
            "docs/failures.md",
        )


def lost_time(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    spent = evidence.status.goodput
    if spent is None or spent.lost <= max(LOST_SECONDS, LOST_SHARE * (spent.training + spent.lost)):
        return
    yield Finding(
        Severity.SLOW,
        "LostWork",
        f"{span(spent.lost)} of work had to be done again",
        (f"goodput: training {spent.training} s, lost {spent.lost} s, queued {spent.queued} s, waiting {spent.waiting} s",),
        "save full states more often by checkpoint.everyMinutes, which counts from the next attempt on",
        commands.patch('{"checkpoint":{"everyMinutes":15}}'),
        "docs/checkpoints.md",
    )


def training(evidence: Evidence, commands: Commands) -> Iterator[Finding]:
    """Told last: it runs."""
    progress = evidence.status.progress
    if evidence.status.phase is not Phase.RUNNING or progress is None or progress.stage or not stepped(evidence):
        return
    eta = f", about {span(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
    yield Finding(
        Severity.FINE,
        "Running",
        f"it trains: step {progress.step} of {progress.total_steps or '?'}{eta}",
        (
            f"last step {ago(evidence, progress.updated_time)}"
            + (f", loss {progress.loss:.4g}" if progress.loss is not None else ""),
        ),
        "",
        commands.watch(),
    )
