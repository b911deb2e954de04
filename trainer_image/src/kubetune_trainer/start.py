"""From where a run goes on: the best full state that is whole and fits, or the start. What is damaged goes to quarantine."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

from kubetune_trainer.backends.base import BackendRun
from kubetune_trainer.checkpoints.keeper import Keeper
from kubetune_trainer.checkpoints.last_good import ATTEMPT, LastGood, number_of
from kubetune_trainer.checkpoints.resume import Choice, Fit, choose
from kubetune_trainer.earlier import call_hash, note_start, read_record, take_up
from kubetune_trainer.plan import RunPlan
from kubetune_trainer.resize import Restart, answer
from kubetune_trainer.storage.location import SCHEME as S3_SCHEME
from kubetune_trainer.storage.location import parse
from kubetune_trainer.storage.output import FIELD
from kubetune_trainer.storage.runs import take_up_stored

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """What the backend is to run, and what it goes on from."""

    run: BackendRun
    earlier: tuple[Path, ...] = ()  # the directories of the earlier attempts
    resumed_from: str | None = None
    step: int = 0  # optimizer steps that are done already


def find_start(plan: RunPlan, run: BackendRun, keeper: Keeper) -> Start:
    """Chooses, and says so in log and ledger.

    Raises:
        ConfigurationError: the state that would be gone on from was written by another number of ranks (resize).

    """
    own = own_states(plan, run) if plan.owns_output else ()
    before = keeper.begin() if plan.judges else None
    states = own if plan.owns_output else candidates(plan, before)
    earlier = earlier_runs(plan, states)
    spec_hash = plan.job.spec_hash if plan.job else None
    fit = Fit(plan.algorithm, plan.world_size, spec_hash, plan.backend.total_steps(run))
    choice = plan.store.choose(states, fit) if plan.store else choose(states, fit)
    tell(plan, choice, keeper)
    if plan.judges:
        keeper.sweep(earlier)
    restart = restart_of(plan, run, choice, earlier)
    if restart is not None:
        run = restart.applied(run)
        if plan.owns_output:
            note_start(plan.output_dir, restart)
    resumed = choice.path or (Path(restart.weights) if restart else None)
    return Start(
        run=replace(run, resume_from=choice.path),
        earlier=earlier,
        resumed_from=plan.uri_of(resumed) if resumed else None,
        step=choice.step,
    )


def own_states(plan: RunPlan, run: BackendRun) -> tuple[str, ...]:
    """Of earlier runs of this very call of the library."""
    if plan.store is not None:
        return take_up_stored(plan.store, call_of(plan, run))
    return take_up(plan.output_dir, call_of(plan, run), alone=plan.torchrun.nnodes == 1)


def candidates(plan: RunPlan, before: LastGood | None) -> tuple[str, ...]:
    """The operator's, best first; before them the last good one, which the operator may not have been told of any more.

    Several nodes must come to the same choice, and the pointer may move between their looks: they take the operator's alone. So
    does a node whose output is in a store: its pointer is of its own disk.
    """
    good = before.full_state if before and plan.torchrun.nnodes == 1 and plan.store is None else None
    pointed = (str(plan.ledger_dir / good.path),) if good else ()
    return tuple(dict.fromkeys([*pointed, *plan.resume_from]))


def earlier_runs(plan: RunPlan, states: tuple[str, ...]) -> tuple[Path, ...]:
    """Oldest first: of a job all earlier attempts; of a call of the library what it goes on from. Of those in a store, and not
    on this disk, the directories that stand for them.
    """
    store = plan.store
    if plan.job is None:
        paths = [store.path_of(parse(FIELD, state)) if store else Path(state) for state in reversed(states)]
        return tuple(dict.fromkeys(path.parents[1] for path in paths))
    runs = map(store.path_of, store.runs_beside()) if store else plan.ledger_dir.glob(f"{ATTEMPT}*")
    numbers = {path: number_of(path.name) for path in runs}
    found = {path: number for path, number in numbers.items() if number is not None and number < plan.attempt}
    return tuple(sorted(found, key=lambda path: found[path]))


def tell(plan: RunPlan, choice: Choice, keeper: Keeper) -> None:
    for rejected in choice.rejected:
        logger.warning("not resumed from %s", rejected)
        if plan.judges and rejected.damaged and isinstance(rejected.path, Path):
            keeper.quarantine(rejected.path, rejected.problem, kind="full-state")
        elif plan.judges:
            keeper.note("refused", rejected.path, kind="full-state", reason=rejected.problem)
    if choice.path is not None:
        logger.info("resuming from %s, step %d", choice.path, choice.step)
        if plan.judges:
            keeper.note("resumed", plan.uri_of(choice.path) if plan.store else choice.path, kind="full-state", step=choice.step)
    elif choice.rejected and choice.resized is None:
        logger.warning("none of %d full states can be used: training starts from the start", len(choice.rejected))


def restart_of(plan: RunPlan, run: BackendRun, choice: Choice, earlier: tuple[Path, ...]) -> Restart | None:
    """The weights with which this run begins, or the one did from whose state it goes on."""
    if choice.path is not None:
        return read_record(choice.path.parents[1]).began_from if plan.owns_output and plan.store is None else None
    if choice.resized is None:
        return None
    return answer(run, choice.resized, () if plan.store else earlier, os.environ)


def call_of(plan: RunPlan, run: BackendRun) -> str:
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
