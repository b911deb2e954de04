"""The library's runs in a store: each call writes below a name of its own, and goes on from its own unfinished run alone.

In a directory an earlier run is moved aside (kubetune_trainer.earlier); a store moves nothing, so every run begins aside.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import secrets
import shutil
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kubetune_trainer.checkpoints.keeper import QUARANTINE
from kubetune_trainer.contract import Outcome
from kubetune_trainer.earlier import RECORD, RunRecord, sole_writer, why_foreign
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.storage.errors import StoreError, explain
from kubetune_trainer.storage.location import Location, parse
from kubetune_trainer.storage.output import FIELD, OutputStore
from kubetune_trainer.storage.settings import StoreSettings

if TYPE_CHECKING:
    from kubetune_trainer.backends.base import Torchrun

logger = logging.getLogger(__name__)

RUN = "run-"
CHECKPOINTS = ("hf_format", "full_state*", QUARANTINE)


def run_of_its_own(uri: str, torchrun: Torchrun, settings: StoreSettings, now: datetime) -> OutputStore:
    """Where a call of the library with this ckpt_output_dir writes; nothing is asked of the store yet.

    Raises:
        ConfigurationError: no s3:// URI, or several nodes, which could not agree on the run's name.

    """
    base = parse(FIELD, uri)
    if torchrun.nnodes > 1:
        problem, remedy = (
            "is a store, and several nodes take part",
            "name a directory that they share, or use the resource (nodes: 2)",
        )
        raise ConfigurationError(FIELD, uri, problem, remedy)
    name = f"{RUN}{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    return OutputStore(base.below(name), settings.cache / "runs" / base.bucket / base.key / name, settings)


def take_up_stored(store: OutputStore, call: str) -> tuple[str, ...]:
    """The full states to go on from, best first; says in the log which of the two it is, and leaves this run's record.

    Raises:
        ConfigurationError, TrainingError: the store did not answer, or not as it should.

    """
    _discard_abandoned(store)
    try:
        earlier = [run for run in store.runs_beside() if run.key.rpartition("/")[2].startswith(RUN)]
        reasons = [why_foreign(store.read(run.below(RECORD)), call) for run in earlier]
        own = [run for run, _ in itertools.takewhile(lambda pair: pair[1] is None, zip(earlier, reasons, strict=True))]
        states = tuple(state for run in own for state in _full_states(store, run))
        store.write(RECORD, RunRecord(call=call).to_json())
    except StoreError as error:
        explain(FIELD, store.root.uri, error)
    if states:
        logger.warning("%s is an unfinished run of this same call: it is gone on with", own[0].uri)
    elif earlier:
        logger.warning("training starts from the start: the earlier run %s %s", earlier[0].uri, reasons[0] or "left no full state")
    return states


def note_end_stored(store: OutputStore, outcome: Outcome) -> None:
    """Adds how the run ended. A store that is away does not change how it ended: the run then counts as unfinished."""
    try:
        record = RunRecord.model_validate_json(store.read(store.root.below(RECORD)) or b"")
        store.write(RECORD, record.model_copy(update={"outcome": outcome}).to_json())
    except (StoreError, ValueError) as error:
        logger.warning("%s: how the run ended could not be noted: %s", store.root.uri, error)


def _full_states(store: OutputStore, run: Location) -> list[str]:
    states = [pair for pair in store.sealed(run, last=True) if pair[0].kind == "full-state"]
    return [store.location_of(path).uri for _, path in sorted(states, key=lambda pair: pair[0].step, reverse=True)]


def discard_local(directory: Path) -> None:
    """Removes the checkpoints that a run, or its resume, left on this machine's disk."""
    for path in (path for pattern in CHECKPOINTS for path in directory.glob(pattern)):
        shutil.rmtree(path, ignore_errors=True)


def _discard_abandoned(store: OutputStore) -> None:
    """What calls left that were killed: the store holds all of it that counts. Those that are going on keep theirs."""
    for other in store.local.parent.glob(f"{RUN}*"):
        if other != store.local:
            with contextlib.suppress(ConfigurationError), sole_writer(other):
                discard_local(other)
