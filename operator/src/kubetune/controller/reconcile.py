"""reconcile: observe, decide, apply, write the status once. One function for both kinds; all I/O goes through `Cluster`.

Crash safety. A child is created BEFORE its attempt is recorded: its name follows from the attempt's number and the apply is
idempotent, so an operator that dies in between finds the child by that name and records it then (observe.latest_attempt): never
two children, never a lost count. The first attempt is recorded when there is news of it (quiet_seconds); should its child be
deleted before, its pods tell of it, and one that never had pods is created again. The other way round, a recorded attempt without
a child could not be told from a child that was deleted by hand. Deleting is the reverse: evidence is written first, and only a
later reconcile deletes. Events, too, come before the status that they tell of:
published again after a crash they bear the same name, and the API server keeps one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kubetune.api import parse_status
from kubetune.api.identity import child_name
from kubetune.api.status import MAX_LOG_TAIL, Failure, JobStatus
from kubetune.cluster import Cluster, ClusterError, Manifest
from kubetune.controller.bounds import clip_front, written_part
from kubetune.controller.child import held, hold, stamped
from kubetune.controller.decide import decide
from kubetune.controller.decision import (
    Action,
    CreateAttempt,
    Decision,
    DeleteChild,
    DeleteJob,
    DeletePod,
    NudgeChild,
    ReleaseChild,
)
from kubetune.controller.events import events
from kubetune.controller.observe import Observation, Upstream, job_status, names_account, observe, retry_wanted
from kubetune.controller.policies.live import run_policy
from kubetune.controller.queueing import QueueState, queue_state
from kubetune.controller.settings import ControllerSettings
from kubetune.controller.status import changed, next_status, refused
from kubetune.render import AttemptPlan, render_pytorchjob

logger = logging.getLogger(__name__)

STARTING = frozenset({"AttemptStarted", "Starting"})
CONFLICT = 409
GONE = 404


@dataclass(frozen=True)
class Written:
    """What was known of a job, and the status that has been written of it since."""

    observed: Observation
    status: JobStatus


@dataclass(frozen=True)
class Outcome:
    """When to look again."""

    requeue_after: float | None = None
    """Seconds; 0: at once, there is more to do; None: when something changes."""

    error: str | None = None
    """What the cluster did not do, for the log; the job's conditions have it where they could be written."""

    quiet: bool = False
    """Its first attempt starts and the status does not say so yet: that its pods run is no news before quiet_pods_seconds."""

    over: bool = False
    """It is finished, the status says so, and there is nothing to tidy up."""

    written: Written | None = field(default=None, compare=False, repr=False)
    """The status that this reconcile wrote, if it had anything to say."""


async def reconcile(  # noqa: PLR0913, PLR0917 - the signature that the operator and the embedded cluster share
    cluster: Cluster, kind: str, namespace: str, name: str, now: datetime, settings: ControllerSettings,
    newcomer: Manifest | None = None,
) -> Outcome:  # fmt: skip
    """Brings one job one step further. Idempotent; raises nothing: what the cluster refuses is in the outcome.

    `newcomer`: the job as the watch told of it, where nobody can have made anything for it yet: nothing is read then. Should
    that be wrong after all, its PyTorchJob exists, and the next reconcile reads it.
    """
    now = now.replace(microsecond=0)  # as Kubernetes' own timestamps
    try:
        seen = await beside(cluster, observe(newcomer)) if newcomer else await gather(cluster, kind, namespace, name)
        observed = with_defaults(await with_refusal(cluster, seen, settings, now), settings)
        decision = decide(observed, settings, now) if observed else None
        if observed is None or decision is None:
            return Outcome()
        decision = await with_log_tail(cluster, observed, decision, settings)
        decision, error = await carry_out(cluster, observed, decision, settings, new=newcomer is not None)
        silence = quiet_seconds(observed, decision, settings, now)
        if silence > 0:
            return Outcome(min(silence, decision.requeue_after or silence), quiet=True)
        after = next_status(observed, decision, now)
        written = Written(observed, after) if await write(cluster, observed, after) else None
    except ClusterError as problem:
        return after_error(problem, settings)
    if error is None and after.phase and after.phase.finished:
        return replace(at_the_end(observed, decision, after, settings, now), written=written)
    return Outcome(decision.requeue_after, str(error) if error else None, written=written)


def at_the_end(observed: Observation, decision: Decision, after: JobStatus, settings: ControllerSettings, now: datetime) -> Outcome:
    """When to tidy up, by what is known already: most jobs need no look for that."""
    if decision.requeue_after != 0:
        return Outcome(decision.requeue_after, over=decision.requeue_after is None and not decision.actions)
    own = (observed.child,) if observed.child else ()
    seen = replace(
        observed, status=after, attempt=after.attempts[-1] if after.attempts else None, child=None,
        leftovers=observed.leftovers + own,
    )  # fmt: skip
    following = decide(seen, settings, now)
    if following is None or following.actions:
        return Outcome(0)
    return Outcome(following.requeue_after, over=following.requeue_after is None)


def quiet_seconds(observed: Observation, decision: Decision, settings: ControllerSettings, now: datetime) -> float:
    """For how long the status need not say that the first attempt is starting: most run before anybody has read it.

    Whatever else there is to say, a deadline that counts from the start, and later attempts are written at once.
    """
    attempt, status, spec = observed.attempt, observed.status, observed.job.spec if observed.job else None
    told = bool(status.conditions or status.attempts)
    if told or decision.reason not in STARTING or spec is None or spec.resume_from or run_policy(observed).active_deadline_seconds:
        return 0.0
    if attempt is None:
        return settings.quiet_seconds
    pods = [pod.created for pod in observed.pods if pod.created]
    patience, since = (settings.quiet_pods_seconds, min(pods)) if pods else (settings.quiet_seconds, attempt.started)
    return min(patience, settings.quiet_seconds) - (now - since).total_seconds()


def after_error(problem: ClusterError, settings: ControllerSettings) -> Outcome:
    """Somebody else wrote first: again soon. Else: later."""
    if problem.status == CONFLICT:
        return Outcome(settings.conflict_seconds)
    return Outcome(settings.error_seconds, str(problem))


async def gather(cluster: Cluster, kind: str, namespace: str, name: str) -> Observation | None:
    """Reads all that there is about the job. PyTorchJobs before pods: a finished one's pods are then known to have ended.

    By name, not by label: a search by label costs the API server more with every job that there is.
    """
    manifest = await cluster.get_job(kind, namespace, name)
    if manifest is None:
        return None
    names = child_names(manifest)
    children = [child for each in names if (child := await cluster.pytorchjob(namespace, each))]
    wanted = pod_names(children) if children else first_master(manifest, names)
    wanted = () if any(held(child) for child in children) else wanted  # earlier attempts' may have come back
    pods = await cluster.pods(namespace, manifest["metadata"]["uid"], wanted) if names else []
    return await beside(cluster, observe(manifest, children, pods))


async def beside(cluster: Cluster, seen: Observation) -> Observation:
    """With what is not the job's own."""
    return replace(seen, upstream=await upstream(cluster, seen), queue=await queueing(cluster, seen))


def child_names(manifest: Manifest) -> tuple[str, ...]:
    """The PyTorchJobs that may be there: the last recorded attempt's, and the next one's unless that attempt lives.

    No others: an attempt is recorded before the next is created, and the child of an ended one is deleted before that.
    """
    metadata, status = manifest["metadata"], job_status(manifest)
    last = status.attempts[-1] if status.attempts else None
    if "deletionTimestamp" in metadata:
        return ()
    known = (last.py_torch_job,) if last else ()
    over = status.phase is not None and status.phase.finished and not retry_wanted(manifest, status)
    if last and (over or last.ended is None):
        return known
    return (*known, child_name(manifest["kind"], metadata["name"], last.number + 1 if last else 1))


def pod_names(children: Sequence[Manifest]) -> tuple[str, ...]:
    """As the training operator calls them."""
    found: list[str] = []
    for child in children:
        for role, spec in ((child.get("spec") or {}).get("pytorchReplicaSpecs") or {}).items():
            found += [f"{child['metadata']['name']}-{role.lower()}-{index}" for index in range(spec.get("replicas") or 1)]
    return tuple(found)


def first_master(manifest: Manifest, names: Sequence[str]) -> tuple[str, ...]:
    """Of a job with no attempt on record, whose first child may have been deleted before it was; of others any pod (empty)."""
    return () if (manifest.get("status") or {}).get("attempts") else tuple(f"{name}-master-0" for name in names)


def with_defaults(seen: Observation | None, settings: ControllerSettings) -> Observation | None:
    """The job as it would be rendered now; its manifest, its hash and the child of a live attempt stay what they are."""
    return replace(seen, job=settings.job_defaults.under(seen.job)) if seen and seen.job else seen


async def with_refusal(
    cluster: Cluster, seen: Observation | None, settings: ControllerSettings, now: datetime
) -> Observation | None:
    """Why pods of the live attempt are missing, once they have been for a while: the search costs the API server something."""
    child = seen.child if seen else None
    if seen is None or seen.deleting or child is None or child.created is None or child.deleting:
        return seen
    if child.suspended or child.held:
        return seen
    if len(seen.pods) >= child.replicas or (now - child.created).total_seconds() < settings.missing_seconds:
        return seen
    try:
        return replace(seen, refused=await cluster.pods_refused(_namespace(seen), child.uid))
    except ClusterError as problem:
        logger.warning("why pods of %s are missing could not be read: %s", child.name, problem)
        return seen


async def queueing(cluster: Cluster, seen: Observation) -> QueueState | None:
    """After the pods: if they were taken away by Kueue, its Workload said so before.

    A live attempt goes on without Kueue's word; a new one is not begun without it.
    """
    child = seen.last_child
    if seen.deleting or child is None or child.queue is None or (seen.status.phase and seen.status.phase.finished):
        return None
    try:
        return queue_state(child.queue, await cluster.queueing(_namespace(seen), child.uid, child.queue))
    except ClusterError as problem:
        if not seen.live:
            raise
        return QueueState(child.queue, problem=str(problem))


async def upstream(cluster: Cluster, seen: Observation) -> Upstream | None:
    """The job that this one waits for or starts from, while that still matters."""
    source = seen.job.spec.resume_from if seen.job else None
    if seen.job is None or source is None or source.job_ref is None or seen.live:
        return None
    reference = source.job_ref
    found = await cluster.get_job(reference.kind or seen.job.kind, seen.job.metadata.namespace, reference.name)
    if found is None:
        return Upstream(reference.name, exists=False)
    status = parse_status(found.get("status") or {})
    return Upstream(reference.name, exists=True, phase=status.phase, checkpoint=status.final_checkpoint)


async def with_log_tail(cluster: Cluster, observed: Observation, decision: Decision, settings: ControllerSettings) -> Decision:
    """The failed pod's own last lines, where its outcome carried none. Without them it is still a diagnosis."""
    failure = decision.failure
    if decision.ended is None or failure is None or failure.pod is None or failure.log_tail or says_it_all(failure):
        return decision
    if any(pod.name == failure.pod and pod.node_lost for pod in observed.pods):
        return decision  # its kubelet is silent, and to wait for it held up the next attempt by 17 s
    try:
        tail = await cluster.log_tail(_namespace(observed), failure.pod, settings.log_tail_lines)
    except ClusterError as problem:
        logger.warning("the log of %s could not be read: %s", failure.pod, problem)
        return decision
    return replace(decision, failure=_with_tail(failure, tail))


def says_it_all(failure: Failure) -> bool:
    """The user's own errors as the trainer words them: field, value and remedy. A log adds nothing."""
    return not failure.failure_class.retryable and failure.reason == failure.failure_class.value


def _with_tail(failure: Failure, tail: str) -> Failure:
    return failure.model_copy(update={"log_tail": clip_front(tail, MAX_LOG_TAIL)}) if tail else failure


async def carry_out(
    cluster: Cluster, observed: Observation, decision: Decision, settings: ControllerSettings, *, new: bool
) -> tuple[Decision, ClusterError | None]:
    """Does what was decided; a refusal goes into the status, where the user looks.

    Raises ClusterError (409) where what was not looked for (`new`) exists: that is nothing to tell, but to look at.
    """
    try:
        for action in decision.actions:
            await carry_out_one(cluster, observed, action, settings, new=new)
    except ClusterError as problem:
        if new and problem.status == CONFLICT:
            raise
        return refused(observed, decision, problem, settings.error_seconds), problem
    return decision, None


async def carry_out_one(
    cluster: Cluster, observed: Observation, action: Action, settings: ControllerSettings, *, new: bool
) -> None:
    namespace = _namespace(observed)
    logger.info("%s/%s: %s", namespace, observed.manifest["metadata"]["name"], action)
    match action:
        case CreateAttempt():
            manifest = child_manifest(observed, action, settings)
            if not names_account(observed):
                await cluster.ensure_reporter(namespace)
            await cluster.apply_pytorchjob(manifest, new=new)
        case NudgeChild(name, uid, _, at):
            await cluster.nudge_pytorchjob(namespace, name, uid, at)
        case ReleaseChild(name, uid):
            await cluster.release_pytorchjob(namespace, name, uid)
        case DeleteChild(name, uid, _):
            await cluster.delete_pytorchjob(namespace, name, uid)
        case DeletePod(name, uid, _):
            await cluster.delete_pod(namespace, name, uid)
        case DeleteJob():
            await cluster.delete_job(observed.manifest)


def child_manifest(observed: Observation, action: CreateAttempt, settings: ControllerSettings) -> Manifest:
    """The attempt's PyTorchJob. Raises ClusterError (not retryable) if the spec cannot be rendered."""
    if observed.job is None:
        raise ClusterError("the spec is invalid", retryable=False)
    plan = AttemptPlan(action.number, action.resume_from, action.model_uri, observed.status.checkpoints)
    try:
        manifest = stamped(render_pytorchjob(observed.job, plan, settings.render), observed.job)
    except ValueError as problem:
        raise ClusterError(f"the PyTorchJob cannot be rendered: {problem}", retryable=False) from problem
    queued = observed.job.spec.queue_name is not None  # it is suspended already, and the queue's to release
    return hold(manifest) if settings.hold_retries and action.number > 1 and not queued else manifest


async def write(cluster: Cluster, observed: Observation, after: JobStatus) -> bool:
    """The one status write, if there is anything to say, after the events that tell of it. False: there was nothing."""
    before = observed.status
    if not changed(before, after):
        return False
    for event in events(before, after):
        await cluster.event(observed.manifest, *event)
    try:
        await cluster.write_status(observed.manifest, dict(written_part(after)))
    except ClusterError as problem:
        if problem.status != GONE:
            raise
    return True


def _namespace(observed: Observation) -> str:
    return str(observed.manifest["metadata"].get("namespace", "default"))
