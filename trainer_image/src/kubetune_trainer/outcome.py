"""The verdict: whether a run reached its end, from what it left behind and never from how the backend returned. Pure.

Both libraries return normally, with exit code 0, from runs that trained nothing, stopped half-way or diverged.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubetune_trainer.backends.base import StepMetrics
from kubetune_trainer.contract import Checkpoint, ExitCode, FailureClass, Outcome, WeightsKind
from kubetune_trainer.errors import ConfigurationError, TrainingError


@dataclass(frozen=True)
class Evidence:
    """What a run left behind."""

    attempt: int
    steps: Sequence[StepMetrics] = ()
    total_steps: int | None = None
    checkpoints: Sequence[Checkpoint] = ()  # those of this run only, verified or found wanting
    problems: Sequence[str] = ()  # what was wrong with those found wanting
    error: BaseException | None = None  # what the backend raised
    resumed_from: str | None = None
    needs_checkpoint: bool = True  # False on the nodes that do not judge the shared output
    owed: WeightsKind = "hf"  # what the last step's checkpoint must be


@dataclass(frozen=True)
class Verdict:
    """None of `failure`: it reached its end."""

    failure: FailureClass | None = None
    message: str = ""
    checkpoint: Checkpoint | None = field(default=None)


def judge(evidence: Evidence) -> Outcome:
    """Reached the end only if ALL hold: the backend returned, the last step is the run's last, its loss is finite, and a
    checkpoint of that step, new in this run and of the kind owed, was verified.
    """
    verdict = _verdict(evidence)
    return Outcome(
        reached_end=verdict.failure is None,
        attempt=evidence.attempt,
        step=evidence.steps[-1].step if evidence.steps else 0,
        total_steps=evidence.total_steps,
        checkpoint=verdict.checkpoint,
        failure=verdict.failure,
        message=verdict.message,
        exit_code=exit_code(verdict.failure),
        resumed_from=evidence.resumed_from,
        log_tail=getattr(evidence.error, "log_tail", None),
    )


def _verdict(evidence: Evidence) -> Verdict:
    """The first reason to fail, root causes before their consequences."""
    if evidence.error is not None:
        failure = classify(evidence.error)
        preempted = failure is FailureClass.PREEMPTED
        return Verdict(failure, where_it_ended(evidence) if preempted else str(evidence.error) or type(evidence.error).__name__)
    if not evidence.steps:
        return Verdict(FailureClass.BACKEND_ERROR, "the backend returned normally without training a single step")
    last, total = evidence.steps[-1], evidence.total_steps
    if not math.isfinite(last.loss):
        first = _first_of_the_trailing(evidence.steps)
        message = (
            f"the loss is {last.loss} since step {first} (the last step was {last.step}); lower the learning rate or check the data"
        )
        return Verdict(FailureClass.NON_FINITE_LOSS, message)
    if last.step != total:
        return Verdict(
            FailureClass.BACKEND_ERROR, f"the backend returned normally, but training ended at step {last.step} of {total}"
        )
    if not evidence.needs_checkpoint:
        return Verdict(message=f"this node did step {last.step} of {total}, the last")
    return _by_checkpoint(evidence, last.step)


def where_it_ended(evidence: Evidence) -> str:
    """Of a run that was told to end: from where the next attempt goes on."""
    step, states = evidence.steps[-1].step if evidence.steps else 0, [c for c in evidence.checkpoints if c.verified]
    if not evidence.needs_checkpoint:
        saved = "the master verifies what was saved"
    elif states:
        saved = f"the last verified checkpoint is {states[-1].uri} (step {states[-1].step})"
    else:
        saved = "no checkpoint was verified"
    saved = "; ".join([saved, *evidence.problems])
    return f"asked to end (SIGTERM) at step {step} of {evidence.total_steps or 'an unknown number'}; {saved}"


def _by_checkpoint(evidence: Evidence, step: int) -> Verdict:
    candidates = [found for found in evidence.checkpoints if found.kind == evidence.owed and found.step == step]
    verified = next((found for found in reversed(candidates) if found.verified), None)
    if verified is not None:
        return Verdict(message=f"reached step {step} of {step}; verified {verified.uri}", checkpoint=verified)
    found = "; ".join(evidence.problems) or "none was written"
    return Verdict(FailureClass.BACKEND_ERROR, f"step {step} was reached, but there is no verified checkpoint of it: {found}")


def _first_of_the_trailing(steps: Sequence[StepMetrics]) -> int:
    """From which step on the loss was never finite again."""
    first = steps[-1].step
    for metrics in reversed(steps):
        if math.isfinite(metrics.loss):
            break
        first = metrics.step
    return first


def classify(error: BaseException) -> FailureClass:
    """The class of whatever ended a run."""
    if isinstance(error, ConfigurationError | TrainingError):
        return error.failure_class
    if isinstance(error, MemoryError):
        return FailureClass.HOST_OOM
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FailureClass.DISK_FULL
    if isinstance(error, KeyboardInterrupt):
        return FailureClass.PREEMPTED
    return FailureClass.BACKEND_ERROR


def exit_code(failure: FailureClass | None) -> int:
    """The process's exit code: 0, 2 for what the user must change, 143 for preemption, 1 for the rest."""
    if failure is None:
        return ExitCode.REACHED_END
    if failure in (FailureClass.USER_ERROR, FailureClass.DATA_ERROR):
        return ExitCode.USER_ERROR
    return ExitCode.PREEMPTED if failure is FailureClass.PREEMPTED else ExitCode.FAILED
