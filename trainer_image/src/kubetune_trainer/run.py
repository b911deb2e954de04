"""The one path from a plan to a verdict, which the library's sft() and osft() and the container's entrypoint both take."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.checkpoints.resume import Choice, Fit, choose
from kubetune_trainer.contract import FailureClass, Outcome
from kubetune_trainer.data.preflight import PROBE, ModelFacts, check_model, check_output
from kubetune_trainer.data.report import DataReport
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.data.survey import Survey, check_dataset
from kubetune_trainer.data.tokenise import DataRequest, tokenise
from kubetune_trainer.earlier import call_hash, note_end, sole_writer, take_up
from kubetune_trainer.errors import ConfigurationError, TrainingError
from kubetune_trainer.monitor import Monitor
from kubetune_trainer.outcome import Evidence, classify, judge
from kubetune_trainer.plan import RunFailedError, RunPlan, RunResult
from kubetune_trainer.preemption import Terminated
from kubetune_trainer.sources import resolve_dataset, resolve_model
from kubetune_trainer.storage.location import SCHEME as S3_SCHEME

__all__ = ["RunFailedError", "RunPlan", "RunResult", "Terminated", "run_training"]

logger = logging.getLogger(__name__)


@dataclass
class Phases:
    """Wall-clock seconds by phase."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
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
    phases = Phases()
    with phases.of("preflight"):
        inputs = preflight(plan)
    with phases.of("tokenise"):
        data = tokenise(_data_request(plan, inputs))
        plan.parameters.check_samples(data.kept)
    run, choice = _prepare(plan, inputs, data)
    resumed_from = plan.uri_of(choice.path) if choice.path else None
    monitor = Monitor(plan, run, resumed_from, choice.step)
    try:
        with saving_on_demand(plan, run, monitor):
            error = _train(plan, run, monitor, phases)
            with phases.of("verify"):
                _last_look(plan, monitor, error)
    except Terminated as end:
        monitor.stop(wait=False)
        monitor.give_up_uploads("the grace period was over")
        end.outcome = judge(_evidence(plan, monitor, TrainingError(FailureClass.PREEMPTED, "asked to end")))
        raise
    return _conclude(plan, monitor, error, data, phases)


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


def _prepare(plan: RunPlan, inputs: Inputs, data: DataReport) -> tuple[BackendRun, Choice]:
    run = BackendRun(
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
    )
    states = _states(plan, run)
    spec_hash = plan.job.spec_hash if plan.job else None
    fit = Fit(plan.algorithm, plan.world_size, spec_hash, plan.backend.total_steps(run))
    choice = plan.store.choose(states, fit) if plan.store else choose(states, fit)
    for reason in choice.rejected:
        logger.warning("not resumed from %s", reason)
    if choice.path is None:
        if states:
            logger.warning("none of %d full states can be used: training starts from the start", len(states))
        return run, choice
    logger.info("resuming from %s, step %d", choice.path, choice.step)
    return BackendRun(**{**vars(run), "resume_from": choice.path}), choice


def _states(plan: RunPlan, run: BackendRun) -> tuple[str, ...]:
    """The full states to go on from, best first."""
    if not plan.owns_output:
        return plan.resume_from
    if plan.store is None:
        return take_up(plan.output_dir, _call_of(plan, run), alone=plan.torchrun.nnodes == 1)
    from kubetune_trainer.storage.runs import take_up_stored

    return take_up_stored(plan.store, _call_of(plan, run))


def _call_of(plan: RunPlan, run: BackendRun) -> str:
    """Where it is written and on how many processes is not what is trained (which states fit is looked at by itself)."""
    parameters = {name: value for name, value in run.parameters.items() if name != "data_output_dir"}
    what = {
        "algorithm": plan.algorithm,
        "backend": plan.backend.name,
        "model": run.model_dir.name if plan.model.startswith(S3_SCHEME) else str(run.model_dir),  # named by its content there
        "parameters": parameters,
        "further": run.further,
    }
    return call_hash(what, run.data_file)


def saving_on_demand(plan: RunPlan, run: BackendRun, monitor: Monitor) -> contextlib.AbstractContextManager[None]:
    """While this is open SIGTERM asks the ranks to save, where the entrypoint answers it and the backend can."""
    stop_file = plan.backend.stop_file(run)
    return plan.stop.saving_to(stop_file, lambda: monitor.trained) if plan.stop else contextlib.nullcontext()


def _train(plan: RunPlan, run: BackendRun, monitor: Monitor, phases: Phases) -> Exception | None:
    """The backend's exception, if it raised one."""
    if plan.judges or plan.store is not None:
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


def _last_look(plan: RunPlan, monitor: Monitor, error: Exception | None) -> None:
    if plan.store is not None:
        saved = error is None or classify(error) is FailureClass.PREEMPTED
        plan.store.hurry(all_saved=saved)  # what is under way in the background goes on in the last look, the newest first
    monitor.stop()
    if plan.judges or plan.store is not None:
        monitor.finish(returned=error is None)
    else:
        monitor.read()


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
    if plan.owns_output:
        _note_end(plan, outcome)
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
    )
    if not outcome.reached_end:
        raise RunFailedError(outcome, result) from error
    return result


def _note_end(plan: RunPlan, outcome: Outcome) -> None:
    if plan.store is None:
        note_end(plan.output_dir, outcome)
        return
    from kubetune_trainer.storage.runs import discard_local, note_end_stored

    note_end_stored(plan.store, outcome)
    if outcome.reached_end:
        discard_local(plan.output_dir)
