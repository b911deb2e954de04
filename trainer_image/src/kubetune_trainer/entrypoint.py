"""The container's process: contract in, one attempt, outcome out (`python -m kubetune_trainer.entrypoint`)."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from kubetune_trainer.api_report import ApiReporter, api_reporter
from kubetune_trainer.contract import (
    TERMINATION_LOG,
    TERMINATION_LOG_ENV,
    Contract,
    FailureClass,
    Outcome,
    Report,
    Tracking,
)
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.handover import contract_of, in_resource_terms
from kubetune_trainer.outcome import classify, exit_code
from kubetune_trainer.preemption import GracefulStop, Terminated
from kubetune_trainer.report import file_reporter, interval_of
from kubetune_trainer.run import RunFailedError, RunPlan, run_training

if TYPE_CHECKING:
    from kubetune_trainer.storage.output import OutputStore

logger = logging.getLogger("kubetune")

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
LAST_WAIT_SECONDS = 5.0
LAST_WORD_SECONDS = 60.0
"""For which an API server that is away is waited for at the end: the kubelet could not tell it of the end meanwhile either."""

TAIL_LINES = 20


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Runs the attempt that the environment describes and returns the exit code: 0, 1, 2 or 143.

    Whatever happens, the outcome is in the termination log, its last line on standard error, and no child is left.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    adopt_orphans()
    attempt, contract, stop, last_words = 1, None, GracefulStop(), ExitStack()
    try:
        stop.install()
        contract = contract_of(environment)
        attempt, stop.grace_seconds = contract.attempt, contract.grace_seconds
        outcome = run_attempt(contract, environment, stop, last_words)
    except Terminated as end:
        outcome = end.outcome or failed(attempt, FailureClass.PREEMPTED, "asked to end (SIGTERM) before the first step")
    except RunFailedError as error:
        outcome = error.outcome
    except ConfigurationError as error:
        outcome = failed(attempt, error.failure_class, in_resource_terms(error, parameter_names(contract)))
    except Exception as error:
        logger.exception("the attempt failed")
        outcome = unexpected(attempt, error)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)  # the outcome is written now, whoever is impatient
        end_descendants()
    write_outcome(outcome, environment)
    print(last_line(outcome), file=sys.stderr, flush=True)  # noqa: T201 - for people, in `kubectl logs`
    last_words.close()
    return outcome.exit_code


def run_attempt(contract: Contract, environment: Mapping[str, str], stop: GracefulStop, last_words: ExitStack) -> Outcome:
    """One attempt on this node, by the same path as the library's calls.

    `last_words`: gets what is to be done when the outcome has been written.
    """
    from kubetune_trainer.backends.base import Patience
    from kubetune_trainer.registry import create_algorithm
    from kubetune_trainer.rendezvous import torchrun_of
    from kubetune_trainer.validation import parameters_of

    began = time.monotonic()
    algorithm = create_algorithm(contract.algorithm, contract.backend)
    torchrun = torchrun_of(contract, environment)
    report = reporter_of(contract, torchrun.node_rank, environment)
    store = output_store_of(contract, torchrun.node_rank, environment)
    plan = RunPlan(
        algorithm=contract.algorithm,
        backend=algorithm.backend,
        model=contract.model,
        dataset=contract.dataset,
        dataset_format=contract.dataset_format,
        output_dir=store.local if store else Path(contract.attempt_dir),
        output_uri=contract.attempt_uri,
        parameters=parameters_of(algorithm.parameters, contract.training),  # once more: operator and image may differ in age
        torchrun=torchrun,
        device=contract.device,
        checkpoint=contract.checkpoint,
        resume_from=contract.resume_from,
        verifiers=algorithm.verifiers(),
        job=contract.job,
        attempt=contract.attempt,
        tracking=contract.tracking or Tracking(),
        report=report,
        report_interval=interval_of(environment),
        stop=stop,
        store=store,
        patience=Patience(contract.hang_seconds, began) if contract.hang_seconds else None,
    )
    ended = None
    try:
        result = run_training(plan)
    except (RunFailedError, Terminated) as error:
        ended = error.outcome.failure if error.outcome else FailureClass.PREEMPTED
        raise
    finally:
        if isinstance(report, ApiReporter):
            report.close(ended=ended)
            if ended is not FailureClass.PREEMPTED:  # whose time is counted
                last_words.callback(report.persist, LAST_WORD_SECONDS)
    logger.info("seconds by phase: %s", result.seconds)
    if result.outcome is None:
        raise RuntimeError("run_training returned without a verdict")
    return result.outcome


def output_store_of(contract: Contract, node_rank: int, environment: Mapping[str, str]) -> OutputStore | None:
    """Where the attempt's directory is uploaded, if the output is s3://; each node has a directory of its own then."""
    from kubetune_trainer.storage.location import SCHEME, parse
    from kubetune_trainer.storage.settings import StoreSettings

    if not contract.output_uri.startswith(SCHEME):
        return None
    from kubetune_trainer.storage.output import OutputStore

    local = Path(contract.output) / f"node-{node_rank}" / Path(contract.attempt_dir).name
    root = parse("ckpt_output_dir", contract.attempt_uri)
    return OutputStore(root, local, StoreSettings.from_environment(environment), node_rank, contract.nodes)


def reporter_of(contract: Contract, node_rank: int, environment: Mapping[str, str]) -> Callable[[Report], None] | None:
    """Where this node reports: into the file that whoever runs the pod named, else to the API server; the master alone does."""
    to_file = file_reporter(environment)
    if to_file is not None or contract.report == "none" or node_rank != 0:
        return to_file
    return api_reporter(contract, environment)


def parameter_names(contract: Contract | None) -> Iterable[str]:
    """The library's names of the parameters of the contract's algorithm; none where there is no such algorithm."""
    from kubetune_trainer.registry import AlgorithmRegistry

    try:
        return AlgorithmRegistry.get_algorithm(contract.algorithm).parameters.model_fields if contract else ()
    except ConfigurationError:
        return ()


def failed(attempt: int, failure: FailureClass, message: str, log_tail: str | None = None) -> Outcome:
    return Outcome(
        reached_end=False, attempt=attempt, failure=failure, message=message, exit_code=exit_code(failure), log_tail=log_tail
    )


def unexpected(attempt: int, error: Exception) -> Outcome:
    """The outcome of what was raised before there was a run to judge."""
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()[-TAIL_LINES:]
    tail = getattr(error, "log_tail", None) or "\n".join(lines)
    return failed(attempt, classify(error), str(error) or type(error).__name__, tail)


def write_outcome(outcome: Outcome, environment: Mapping[str, str]) -> None:
    """Into the termination log, where the kubelet (or the embedded cluster) reads it; without one, says so and goes on."""
    named = environment.get(TERMINATION_LOG_ENV)
    path = Path(named or TERMINATION_LOG)
    if not named and not path.exists():  # outside a container: the kubelet makes that file, we never put one into /dev
        logger.warning("there is no %s here: the outcome is on standard error alone", path)
        return
    try:
        path.write_text(outcome.to_message())
    except OSError as error:
        logger.warning("the outcome could not be written to %s (%s): it is on standard error alone", path, error.strerror)


def last_line(outcome: Outcome) -> str:
    """What a person reads last."""
    if outcome.reached_end:
        return f"kubetune: attempt {outcome.attempt} succeeded: {outcome.message}"
    return f"kubetune: attempt {outcome.attempt} failed ({outcome.failure}, exit code {outcome.exit_code}): {outcome.message}"


def adopt_orphans() -> None:
    """Grandchildren whose parent died become ours, so that they are found when everything is ended (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_descendants() -> None:
    """Kills every process that descends from this one; those that a parent's death orphans in between as well."""
    for _ in range(5):
        alive = [process for process in psutil.Process().children(recursive=True) if process.status() != psutil.STATUS_ZOMBIE]
        if not alive:
            return
        for process in alive:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(alive, timeout=LAST_WAIT_SECONDS)


if __name__ == "__main__":
    gc.set_threshold(100_000)  # most that is made here are modules, which stay: looking at them again and again delays the start
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a check left behind in a thread must neither delay the end nor change its code
