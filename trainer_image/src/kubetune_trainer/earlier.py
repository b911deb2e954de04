"""An earlier run in the output directory that a caller of the library names again.

The usage documents call sft() several times with one ckpt_output_dir. Both backends would go on from whatever full state they
find there, and train nothing if it was finished. Here an earlier run is set aside, and gone on from only if it is this very
call's own and did not reach its end.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from kubetune_trainer.checkpoints.last_good import POINTER_NAME
from kubetune_trainer.checkpoints.manifest import read_manifest
from kubetune_trainer.contract import MANIFEST_NAME, Message, Outcome
from kubetune_trainer.disk import room, says_full
from kubetune_trainer.errors import ConfigurationError
from kubetune_trainer.plugins.saving import STAGE
from kubetune_trainer.resize import Restart

logger = logging.getLogger(__name__)

RECORD = "kubetune-run.json"
LOCK = ".kubetune-lock"
ASIDE = "previous-"

LEFTOVERS = (
    "hf_format",
    "full_state*",
    STAGE,
    "logs",
    "training_params*",
    "training_metrics*",
    "training_log*",
    "full_logs*",
    "tensorboard",
    "wandb",
    POINTER_NAME,
    RECORD,
)
"""What a run leaves in its output directory, but for the tokenised data, which the next one writes again."""


class RunRecord(Message):
    """What was asked for and how it ended, beside the checkpoints."""

    version: Literal["v1"] = "v1"
    call: str  # see call_hash
    outcome: Outcome | None = None  # None: it is running, or was killed
    began_from: Restart | None = None  # None: the model that was named


@contextlib.contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Holds the directory against a second run; a killed holder's claim ends with its process.

    Raises:
        ConfigurationError: another run holds it.

    """
    with (directory / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            problem, remedy = "is being written by another run", "wait for its end, or name another directory"
            raise ConfigurationError("ckpt_output_dir", str(directory), problem, remedy) from None
        yield


def call_hash(what: Mapping[str, Any], data: Path) -> str:
    """SHA-256 of everything that decides what is trained; `data` is the tokenised data set, by its content."""
    with data.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    text = json.dumps([what, content], sort_keys=True, default=lambda thing: type(thing).__qualname__)  # callbacks
    return hashlib.sha256(text.encode()).hexdigest()


def take_up(directory: Path, call: str, *, alone: bool) -> tuple[str, ...]:
    """Sets what is in the directory aside; returns the full states to go on from, best first, and logs which of the two it is.

    Args:
        directory: the output directory.
        call: this run's call_hash.
        alone: this node is the only one. Several would have to agree on a state before they can talk to each other.

    """
    set_aside(directory)
    earlier = sorted(directory.glob(f"{ASIDE}[0-9]*"), key=_number, reverse=True)
    reasons = [why_foreign(_record(run), call) for run in earlier]
    own = [run for run, _ in itertools.takewhile(lambda pair: pair[1] is None, zip(earlier, reasons, strict=True))]
    states = tuple(state for run in own for state in _full_states(run))
    if states and alone:
        logger.warning("%s holds an unfinished run of this same call: it is gone on with", directory)
    elif earlier:
        why = reasons[0] or ("is not gone on with by several nodes" if states else "left no full state")
        logger.warning("training starts from the start: the earlier run in %s %s", earlier[0], why)
    write_record(directory, RunRecord(call=call))
    return states if alone else ()


def set_aside(directory: Path) -> None:
    """Moves an earlier run into a directory of its own, previous-1 and so on."""
    found = [path for pattern in LEFTOVERS for path in sorted(directory.glob(pattern))]
    if not found:
        return
    number = max((_number(path) for path in directory.glob(f"{ASIDE}[0-9]*")), default=0) + 1
    aside = directory / f"{ASIDE}{number}"
    aside.mkdir()
    for path in found:
        path.rename(aside / path.name)
    logger.warning("%s holds an earlier run: it was moved to %s", directory, aside)


def write_record(directory: Path, record: RunRecord) -> None:
    """Replaces the record as a whole."""
    scratch = directory / f".{RECORD}.writing"
    scratch.write_text(record.to_json())
    scratch.replace(directory / RECORD)


def note_end(directory: Path, outcome: Outcome) -> None:
    """Adds how the run ended to the record that take_up began. A full disk leaves it as a kill would."""
    try:
        write_record(directory, read_record(directory).model_copy(update={"outcome": outcome}))
    except OSError as error:
        if not says_full(error):
            raise
        logger.warning("%s does not say how the run ended: %s", directory / RECORD, room(directory))


def note_start(directory: Path, began_from: Restart) -> None:
    """Adds that the run began with an earlier one's weights: so does whatever goes on from it."""
    write_record(directory, read_record(directory).model_copy(update={"began_from": began_from}))


def read_record(directory: Path) -> RunRecord:
    """Raises OSError or ValueError where there is none that can be read."""
    return RunRecord.model_validate_json((directory / RECORD).read_bytes())


def _record(run: Path) -> bytes | None:
    try:
        return (run / RECORD).read_bytes()
    except OSError:
        return None


def why_foreign(record_text: bytes | None, call: str) -> str | None:
    """Why the run that left this record is not to be gone on with."""
    try:
        record = RunRecord.model_validate_json(record_text or b"")
    except ValueError:
        return f"has no {RECORD} that can be read"
    if record.call != call:
        return "was another call's: model, data or arguments differ"
    if record.outcome is not None and record.outcome.reached_end:
        return "reached its end"
    return None


def _full_states(run: Path) -> list[str]:
    """Those with a manifest, the latest first; whether they are whole is looked at when one is chosen."""
    found = []
    for manifest in run.glob(f"*/*/{MANIFEST_NAME}"):
        with contextlib.suppress(OSError, ValueError):
            state = read_manifest(manifest.parent)
            if state.kind == "full-state":
                found.append((state.step, str(manifest.parent)))
    return [path for _, path in sorted(found, reverse=True)]


def _number(path: Path) -> int:
    digits = path.name.removeprefix(ASIDE)
    return int(digits) if digits.isdigit() else 0
