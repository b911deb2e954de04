"""The trace of a job: what is to be told of it when its status says that an attempt, or the job, has ended. Pure.

One trace a job. Each span is told once, when it is over; should it be told twice, it is the same span. All of it follows from the
status and from what was known when that was written: an operator that is started anew, or another replica, goes on with the trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from kubetune.api.status import Attempt, JobStatus, Phase
from kubetune.cluster import Manifest
from kubetune.controller.decision import SUCCEEDED, SUSPENDED
from kubetune.controller.observe import Observation
from kubetune.controller.retry import counted
from kubetune.controller.tracing.span import Attributes, Span, SpanEvent, span_id, trace_id
from kubetune.controller.tracing.stages import stages

PENDING, BACKOFF, SUSPENSION = "pending", "back-off", "suspended"
RETRY = "retry"
"""Of a job that had Failed and was tried once more because somebody asked: a second life, within the first one's trace."""


def spans(observed: Observation, status: JobStatus) -> Iterator[Span]:
    """`observed`: what was known of the job, with its status before; `status`: what was written then."""
    ended = {each.number for each in observed.status.attempts if each.ended}
    for place, attempt in enumerate(status.attempts):
        if attempt.ended and attempt.number not in ended:
            before = status.attempts[place - 1] if place else None
            yield from wait(observed, status, before, attempt)
            yield from attempt_spans(observed, status, attempt, attempt.ended)
    before_phase = observed.status.phase
    if status.phase and status.phase.finished and not (before_phase and before_phase.finished) and status.completion_time:
        yield job_span(observed, status, status.completion_time)


def life(status: JobStatus) -> int:
    """Number of the attempt with which the job's present life began: above 1 if it had Failed and was tried once more."""
    attempts, start = status.attempts, status.start_time
    if not attempts or start is None or attempts[0].started >= start:
        return 1
    return next((each.number for each in attempts if each.started >= start), attempts[-1].number + 1)


def life_id(uid: str, status: JobStatus) -> int:
    first = life(status)
    return span_id(uid, "job") if first == 1 else span_id(uid, RETRY, first)


def job_span(observed: Observation, status: JobStatus, end: datetime) -> Span:
    """From its creation to its end; the life that a retry gave it: from the retry on."""
    manifest, failure, failed = observed.manifest, status.failure, status.phase is Phase.FAILED
    again = status.start_time if life(status) > 1 else None
    return Span(
        trace_id=trace_id(observed.uid),
        span_id=life_id(observed.uid, status),
        parent_id=span_id(observed.uid, "job") if again else None,
        name=RETRY if again else manifest["kind"],
        start=min(end, again or observed.created),
        end=end,
        attributes={**job_attributes(manifest), **end_attributes(observed, status)},
        status="error" if failed else "ok",
        message=failure.message if failed and failure else "",
    )


def job_attributes(manifest: Manifest) -> Attributes:
    """Of every span: by them it is found."""
    metadata = manifest["metadata"]
    return {
        "k8s.namespace.name": metadata.get("namespace", "default"),
        "kubetune.job.kind": manifest["kind"],
        "kubetune.job.name": metadata["name"],
        "kubetune.job.uid": metadata["uid"],
    }


def end_attributes(observed: Observation, status: JobStatus) -> Attributes:
    """How the job ended, and where its time went."""
    spec, failure, spent = observed.job.spec if observed.job else None, status.failure, status.goodput
    last = status.attempts[-1] if status.attempts else None
    return known(
        {
            "kubetune.phase": status.phase.value if status.phase else None,
            "kubetune.spec_hash": status.spec_hash,
            "kubetune.queue": spec.queue_name if spec else None,
            "kubetune.nodes": spec.nodes if spec else None,
            "kubetune.attempts": last.number if last else 0,
            "kubetune.restarts": status.restarts,
            "kubetune.checkpoint": status.final_checkpoint.uri if status.final_checkpoint else None,
            "kubetune.failure.class": failure.failure_class.value if failure else None,
            "kubetune.failure.reason": failure.reason if failure else None,
            "k8s.pod.name": failure.pod if failure else None,
            "k8s.node.name": failure.node if failure else None,
            **({f"kubetune.goodput.{name}_seconds": seconds for name, seconds in spent.model_dump().items()} if spent else {}),
        }
    )


def known(values: dict[str, str | int | float | bool | None]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}


def wait(observed: Observation, status: JobStatus, before: Attempt | None, attempt: Attempt) -> Iterator[Span]:
    """What came before an attempt, if it took any time: the job's first look, a back-off, or its suspension."""
    if before is None and attempt.number == 1:
        name, start = PENDING, observed.created
    elif before and before.ended and attempt.number != life(status):
        name, start = SUSPENSION if before.reason == SUSPENDED else BACKOFF, before.ended
    else:
        return
    if start < attempt.started:
        yield Span(
            trace_id=trace_id(observed.uid),
            span_id=span_id(observed.uid, "wait", attempt.number),
            parent_id=life_id(observed.uid, status),
            name=name,
            start=start,
            end=attempt.started,
            attributes=job_attributes(observed.manifest),
        )


def attempt_spans(observed: Observation, status: JobStatus, attempt: Attempt, end: datetime) -> Iterator[Span]:
    """The attempt and, within it, its stages."""
    uid, own = observed.uid, span_id(observed.uid, "attempt", attempt.number)
    shared = {**job_attributes(observed.manifest), "kubetune.attempt": attempt.number}
    fault = attempt.reason != SUCCEEDED and counted(attempt)
    yield Span(
        trace_id=trace_id(uid),
        span_id=own,
        parent_id=life_id(uid, status),
        name=f"attempt {attempt.number}",
        start=min(attempt.started, end),
        end=end,
        attributes={**shared, **attempt_attributes(observed, attempt)},
        events=tuple(saves(observed, attempt, end)),
        status="ok" if attempt.reason == SUCCEEDED else "error" if fault else "unset",
        message=attempt.message or "" if fault else "",
    )
    for stage in stages(observed, attempt, end):
        place = span_id(uid, "attempt", attempt.number, stage.name)
        yield Span(trace_id(uid), place, own, stage.name, stage.start, stage.end, shared)


def attempt_attributes(observed: Observation, attempt: Attempt) -> Attributes:
    progress = observed.status.progress if observed.step is not None else None
    return known(
        {
            "kubetune.pytorchjob": attempt.py_torch_job,
            "kubetune.reason": attempt.reason,
            "kubetune.message": attempt.message,
            "kubetune.exit_code": attempt.exit_code,
            "kubetune.last_step": attempt.last_step,
            "kubetune.total_steps": progress.total_steps if progress else None,
            "kubetune.resumed_from": attempt.resumed_from,
            "kubetune.queued_seconds": attempt.queued,
        }
    )


def saves(observed: Observation, attempt: Attempt, end: datetime) -> Iterator[SpanEvent]:
    """The checkpoints that were verified meanwhile."""
    for each in observed.status.checkpoints:
        if each.time and each.verified and attempt.started <= each.time.replace(microsecond=0) <= end:
            facts: Attributes = {
                "kubetune.uri": each.uri,
                "kubetune.step": each.step,
                "kubetune.kind": each.kind,
                "kubetune.bytes": each.bytes,
            }
            yield SpanEvent("checkpoint", each.time, facts)
