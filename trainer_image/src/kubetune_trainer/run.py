"""The one path from a plan to a verdict, which the library's sft() and osft() and the container's entrypoint both take."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kubetune_trainer.attempt_record import AttemptRecord
from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.checkpoints.keeper import Keeper, checkpoints_below
from kubetune_trainer.checkpoints.ledger import LEDGER_NAME, told
from kubetune_trainer.checkpoints.manifest import read_manifest
from kubetune_trainer.contract import FailureClass, Outcome, Report
from kubetune_trainer.data.preflight import PROBE, ModelFacts, check_model, check_output
from kubetune_trainer.data.report import DataReport
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.data.survey import Survey, check_dataset
from kubetune_trainer.data.tokenise import DataRequest, tokenise
from kubetune_trainer.disk import full_disk, is_full, naming_the_disk, says_full, size_below
from kubetune_trainer.earlier import note_end, sole_writer
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.monitor import Monitor
from kubetune_trainer.outcome import Evidence, classify, judge
from kubetune_trainer.plan import RunFailedError, RunPlan, RunResult
from kubetune_trainer.plugins.saving import STATE_FILE
from kubetune_trainer.preemption import Terminated
from kubetune_trainer.progress import before_first_step
from kubetune_trainer.report import Reports, Throttle
from kubetune_trainer.sources import resolve_dataset, resolve_model
from kubetune_trainer.start import find_start
from kubetune_trainer.storage.runs import discard_local, note_end_stored
from kubetune_trainer.tracking.base import TrackedRun, Tracker
from kubetune_trainer.tracking.chosen import trackers_of
from kubetune_trainer.tracking.feed import CLOSE_SECONDS, Feed, tracked

__all__ = ["RunFailedError", "RunPlan", "RunResult", "Terminated", "run_training"]

HASTE_SECONDS = 2.0
"""What trackers get at the end of a run that was asked to end: the grace period is the checkpoint's."""


STAGES = {"preflight": "fetching and checking the model and the data", "tokenise": "tokenising the data"}
"""What a phase says of itself while nothing steps; the monitor tells the others."""


@dataclass
class Phases:
    """Wall-clock seconds by phase."""

    tell: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        if name in STAGES:
            self.tell(STAGES[name])
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)


@dataclass(frozen=True)
class Inputs:
    """What the preflight found in order."""

    model_dir: Path
    dataset: Path
    parameters: dict[str, Any]
    facts: ModelFacts
    survey: Survey
    settings: DataSettings


def run_training(plan: RunPlan) -> RunResult:
    """Checks, tokenises, trains, verifies and judges; blocks until all of it is done and every process has ended.

    Call it on the main thread: the training processes end with the thread that started them.

    Raises:
        ConfigurationError: something that the caller must change, found before anything was launched.
        DataError: likewise, in the data set.
        TrainingError: a started run did not reach its end (RunFailedError, which tells how far it came).

    """
    check_output(plan.output_dir)
    with sole_writer(plan.output_dir) if plan.owns_output else contextlib.nullcontext():
        return _run(plan)


def _run(plan: RunPlan) -> RunResult:
    record = AttemptRecord(plan.ledger_dir, plan.attempt) if plan.judges else None
    reports = Reports(plan.report if plan.judges else None, Throttle(plan.report_interval), record)
    phases = Phases(lambda stage: reports.tell(_before_training(plan, stage)))
    keeper = Keeper(plan.ledger_dir, plan.attempt, plan.checkpoint)
    trackers = trackers_of(plan.tracking) if plan.judges else []
    with told_in_ledger(plan, keeper):
        with phases.of("preflight"):
            inputs = preflight(plan)
        if record is not None:
            record.asked(plan.asked(inputs.parameters))
        with phases.of("tokenise"), naming_the_disk("the tokenised data could not be written", plan.own_data_dir):
            data = tokenise(_data_request(plan, inputs))
            plan.parameters.check_samples(data.kept)
        start = find_start(plan, _backend_run(plan, inputs, data), keeper)
        monitor = Monitor(plan, start.run, reports, keeper, start.earlier, start.resumed_from, start.step)
        return _attempt(plan, monitor, _feeds(plan, trackers, monitor), data, phases)


def _attempt(plan: RunPlan, monitor: Monitor, feeds: list[Feed], data: DataReport, phases: Phases) -> RunResult:
    haste = tracked(feeds, lambda: HASTE_SECONDS if _hurried(plan) else CLOSE_SECONDS)
    try:
        with saving_on_demand(plan, monitor.run, monitor), haste:
            error = _train(plan, monitor.run, monitor, phases)
            with phases.of("verify"):
                error = _last_look(plan, monitor, error)
            for feed in feeds:
                feed.succeeded = error is None
    except Terminated as end:
        monitor.stop(wait=False)
        monitor.give_up_uploads("the grace period was over")
        end.outcome = judge(_evidence(plan, monitor, TrainingError(FailureClass.PREEMPTED, "asked to end")))
        raise
    return _conclude(plan, monitor, error, data, phases)


def _before_training(plan: RunPlan, stage: str) -> Report:
    step = 0
    for state in plan.resume_from[:1]:
        with contextlib.suppress(OSError, ValueError):  # whether it can be used is looked at later
            step = read_manifest(Path(state)).step
    return Report(attempt=plan.attempt, progress=before_first_step(stage, step, None))


@contextlib.contextmanager
def told_in_ledger(plan: RunPlan, keeper: Keeper) -> Iterator[None]:
    """The ledger says that the attempt began and, short of a kill, how it ended."""
    if plan.judges:
        keeper.note("attempt", world_size=plan.world_size, spec_hash=plan.job.spec_hash if plan.job else None)
    try:
        yield
    except BaseException as error:
        if plan.judges:
            outcome = getattr(error, "outcome", None)
            failure = FailureClass.PREEMPTED if isinstance(error, Terminated) else classify(error)
            reason = outcome.message if outcome else str(error)
            keeper.note("ended", step=outcome.step if outcome else None, failure=failure, reason=reason)
        if not isinstance(error, Terminated):  # there is no time left
            upload_ledger(plan, keeper)
        raise
    upload_ledger(plan, keeper)


def upload_ledger(plan: RunPlan, keeper: Keeper) -> None:
    """This attempt's lines; the node's disk may be gone before the next one begins. None of a run that did not begin to train."""
    if plan.judges and plan.store is not None and plan.store.hurried:
        plan.store.leave(LEDGER_NAME, "".join(f"{entry.to_json()}\n" for entry in keeper.told))


def preflight(plan: RunPlan) -> Inputs:
    """Everything that can be refused before anything is launched."""
    _check_device(plan)
    settings = plan.data_settings or DataSettings.from_environment(os.environ)
    if plan.store is not None:
        plan.store.prepare()
    if plan.judges and plan.job is not None:
        _check_new(plan)
    model_dir = resolve_model(plan.model)
    facts = check_model(model_dir, needs_chat_template=plan.format == "messages")
    dataset = resolve_dataset(plan.dataset)
    vocab_size = facts.vocab_size
    survey = check_dataset(dataset, plan.format, unmask=plan.unmask, roles=facts.roles, vocab_size=vocab_size, settings=settings)
    return Inputs(model_dir, dataset, plan.parameters.filled(facts.max_positions), facts, survey, settings)


def _check_device(plan: RunPlan) -> None:
    if plan.device == "cpu":
        if plan.parameters.use_liger:
            raise ConfigurationError("use_liger", True, "needs a GPU, and the device is cpu", "leave use_liger out or use a GPU")
        return
    import torch

    count, wanted = torch.cuda.device_count(), plan.torchrun.nproc_per_node
    if not count:
        raise ConfigurationError(
            "device", "gpu", "was asked for, but this machine shows no GPU", "set device: cpu, or fix the driver"
        )
    if plan.parameters.use_liger and find_spec("liger_kernel") is None:
        problem, remedy = "needs Liger's kernels, which are not installed here", "pip install liger-kernel, or leave use_liger out"
        raise ConfigurationError("use_liger", True, problem, remedy)
    if count < wanted:
        problem = f"processes were asked for, but this machine shows {count} GPUs"
        raise ConfigurationError("nproc_per_node", wanted, problem, "ask for one process a GPU")


def _check_new(plan: RunPlan) -> None:
    """An attempt's directory must be new: what is in it belongs to a run that may still be writing."""
    names = (path.name for path in plan.output_dir.iterdir())
    strangers = sorted(name for name in names if name != "data" and not name.startswith(PROBE))  # the other nodes' preflight
    if strangers:
        message = f"{plan.output_dir} already holds {', '.join(strangers[:5])}: another run of this attempt wrote there"
        raise TrainingError(FailureClass.BACKEND_ERROR, f"{message}; the next attempt gets a directory of its own")


def _data_request(plan: RunPlan, inputs: Inputs) -> DataRequest:
    return DataRequest(
        source=inputs.dataset,
        survey=inputs.survey,
        data_format=plan.format,
        model_dir=inputs.model_dir,
        directory=plan.own_data_dir,
        max_seq_len=inputs.parameters["max_seq_len"],
        max_tokens_per_gpu=inputs.parameters["max_tokens_per_gpu"],
        unmask=plan.unmask,
        cache_dir=plan.data_cache_dir(inputs.settings.cache),
        settings=inputs.settings,
    )


def _backend_run(plan: RunPlan, inputs: Inputs, data: DataReport) -> BackendRun:
    return BackendRun(
        algorithm=plan.algorithm,
        model_dir=inputs.model_dir,
        data_file=data.file,
        output_dir=plan.output_dir,
        parameters=inputs.parameters,
        torchrun=plan.torchrun,
        device=plan.device,
        checkpoint=plan.checkpoint,
        further=plan.further,
        node_output=plan.store is not None,
        cache_dir=plan.cache_dir,
        patience=plan.patience,
    )


def saving_on_demand(plan: RunPlan, run: BackendRun, monitor: Monitor) -> contextlib.AbstractContextManager[None]:
    """While this is open SIGTERM asks the ranks to save, where the entrypoint answers it and the backend can."""
    stop_file = plan.backend.stop_file(run)
    return plan.stop.saving_to(stop_file, lambda: monitor.trained) if plan.stop else contextlib.nullcontext()


def _feeds(plan: RunPlan, trackers: list[Tracker], monitor: Monitor) -> list[Feed]:
    """A job's attempts share one run of each tracker; a call of the library has its own."""
    config = {"algorithm": plan.algorithm, "backend": plan.backend.name, "model": plan.model, "dataset": plan.dataset}
    tracked_run = TrackedRun(
        id=plan.job.uid if plan.job else uuid.uuid4().hex,
        resumed_step=monitor.resumed_step,
        directory=plan.output_dir,
        config=config | plan.parameters.given(),
    )
    return [Feed(tracker, tracked_run, lambda: monitor.steps) for tracker in trackers]


def _hurried(plan: RunPlan) -> bool:
    return plan.stop is not None and plan.stop.asked


def _train(plan: RunPlan, run: BackendRun, monitor: Monitor, phases: Phases) -> Exception | None:
    """The backend's exception, if it raised one."""
    if plan.watches:
        monitor.start()
    try:
        with phases.of("train"):
            plan.backend.run(run)
    except ConfigurationError:
        monitor.stop()
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the verdict says so
        return error
    except BaseException:
        monitor.stop(wait=False)
        raise
    return None


def _last_look(plan: RunPlan, monitor: Monitor, error: Exception | None) -> Exception | None:
    """The error that the verdict is about; one of a full disk names it, and what was half written there is cleared away."""
    if plan.store is not None:
        saved = error is None or classify(error) is FailureClass.PREEMPTED
        plan.store.hurry(all_saved=saved)  # what is under way in the background goes on in the last look, the newest first
    monitor.stop()
    if not plan.watches:
        monitor.read()
        return error
    try:
        monitor.finish(returned=error is None)
    except TrainingError as short:
        error = error or short
    if not plan.judges:
        return error
    if error is None and (not is_full(plan.output_dir) or judge(_evidence(plan, monitor, None)).reached_end):
        return None
    error = with_the_disk(plan, monitor.run, error)
    if classify(error) is FailureClass.DISK_FULL:
        monitor.keeper.sweep([plan.output_dir], full=True)
    return error


def with_the_disk(plan: RunPlan, run: BackendRun, error: Exception | None) -> Exception:
    """`error`, or what a full disk made of the run; a rank that was killed for it could leave no word."""
    wordless = error is None or classify(error) is FailureClass.BACKEND_ERROR
    if error is not None and (
        str(plan.ledger_dir) in str(error) or not (says_full(error) or (wordless and is_full(plan.output_dir)))
    ):
        return error
    torn = [path for path, _ in checkpoints_below(plan.output_dir) if not (path / STATE_FILE).is_file()]
    what = str(error) if error is not None else "the run did not come to its end"
    needed = size_below(run.model_dir) if torn else None  # a checkpoint of weights is about as large as the model
    return full_disk(what, plan.output_dir, needed, log_tail=getattr(error, "log_tail", None))


def _evidence(plan: RunPlan, monitor: Monitor, error: Exception | None) -> Evidence:
    return Evidence(
        attempt=plan.attempt,
        steps=monitor.steps,
        total_steps=monitor.total_steps,
        checkpoints=monitor.checkpoints,
        problems=[f"{path.name} {problem}" for path, problems in monitor.problems.items() for problem in problems],
        error=error,
        resumed_from=monitor.resumed_from,
        needs_checkpoint=plan.judges,
        owed=plan.parameters.owed_kind,
    )


def _conclude(plan: RunPlan, monitor: Monitor, error: Exception | None, data: DataReport, phases: Phases) -> RunResult:
    outcome = judge(_evidence(plan, monitor, error))
    if remarks := told(monitor.keeper.told):
        outcome = outcome.model_copy(update={"message": "; ".join([outcome.message, *remarks])})
    if plan.owns_output:
        _note_end(plan, outcome)
    if plan.judges and outcome.reached_end:
        monitor.keeper.note("ended", step=outcome.step, reason=outcome.message)
    result = RunResult(
        reached_end=outcome.reached_end,
        step=outcome.step,
        total_steps=outcome.total_steps,
        checkpoint=outcome.checkpoint,
        checkpoints=monitor.checkpoints,
        losses=tuple(metrics.loss for metrics in monitor.steps),
        seconds=phases.seconds,
        resumed_from=monitor.resumed_from,
        output_dir=plan.output_dir,
        data=data,
        outcome=outcome,
        ledger=tuple(monitor.keeper.told),
    )
    if not outcome.reached_end:
        raise RunFailedError(outcome, result) from error
    if plan.job and plan.watches:
        shutil.rmtree(plan.cache_dir, ignore_errors=True)  # kept for further attempts: there are none
    return result


def _note_end(plan: RunPlan, outcome: Outcome) -> None:
    if plan.store is None:
        note_end(plan.output_dir, outcome)
        return
    note_end_stored(plan.store, outcome)
    if outcome.reached_end:
        discard_local(plan.output_dir)
