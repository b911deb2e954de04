"""The whole data set, read once before anything is launched: every row checked, counted, hashed and compared with the others."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetune_trainer.data.duplicates import Duplicates
from kubetune_trainer.data.problems import FIELD, Errors, refuse
from kubetune_trainer.data.rows import ROLES, RowCheck
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.data.source import parse, read_lines
from kubetune_trainer.errors import DataError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Survey:
    """What is known of a data set without tokenising it."""

    rows: int
    digest: str  # SHA-256 of the rows' text, in their order
    duplicates: int = 0
    duplicates_exact: bool = True
    duplicate_lines: tuple[int, ...] = ()  # the first few
    remarks: tuple[str, ...] = ()
    examples: dict[str, tuple[int, dict[str, Any]]] = field(default_factory=dict)  # role: the first row with it, and its line

    @property
    def duplicate_percent(self) -> float:
        return 100 * self.duplicates / self.rows


def check_dataset(  # noqa: PLR0913 - what a row is checked against
    path: Path,
    data_format: str,
    *,
    unmask: bool = False,
    roles: frozenset[str] = ROLES,
    vocab_size: int | None = None,
    settings: DataSettings | None = None,
) -> Survey:
    """Reads the whole file once, in memory bounded by its longest row.

    Args:
        path: JSON Lines, or a JSON array of rows; gzip is unpacked.
        data_format: messages ({"messages": [...]}), processed ({"input_ids": [...], "labels": [...]}) or
            pretraining ({"document": "..."}).
        unmask: every message but the system's is counted in the loss.
        roles: those that a message may have.
        vocab_size: rows of the model's embedding; None: not checked.
        settings: the limits; None: the defaults.

    Raises:
        DataError: names the first bad lines, how many more there are, and the remedy.

    """
    limits = settings or DataSettings()
    check = RowCheck(path, data_format, unmask, roles, vocab_size)
    errors, duplicates, digest = Errors(path, limits.errors_shown), Duplicates(), hashlib.sha256()
    examples: dict[str, tuple[int, dict[str, Any]]] = {}
    rows, learns = 0, False
    for line, raw in read_lines(path):
        rows, text = rows + 1, raw.strip()
        digest.update(text + b"\n")
        duplicates.add(line, text)
        try:
            row = parse(path, line, raw)
            learns = check.learns(line, row) or learns
        except DataError as error:
            errors.add(error)
            continue
        for message in row.get("messages") or () if data_format == "messages" else ():
            examples.setdefault(message["role"], (line, row))
    errors.raise_any()
    if not rows:
        refuse(path, None, "is empty", "give at least one row")
    if not learns:
        _refuse_nothing_to_learn(path, data_format, rows, unmask=unmask)
    repeated = tuple(duplicates.lines)
    survey = Survey(rows, digest.hexdigest(), duplicates.count, duplicates.exact, repeated, check.remarks.texts(), examples)
    _judge_duplicates(path, survey, limits)
    return survey


def _judge_duplicates(path: Path, survey: Survey, limits: DataSettings) -> None:
    share = survey.duplicate_percent
    about = "" if survey.duplicates_exact else "about "
    lines = ", ".join(map(str, survey.duplicate_lines))
    problem = f"{about}{survey.duplicates} of {survey.rows} rows ({share:.1f} %) repeat an earlier one, such as line {lines}"
    if share > limits.refuse_duplicate_percent:
        remedy = f"remove them, or raise KUBETUNE_DATA_REFUSE_DUPLICATE_PERCENT ({limits.refuse_duplicate_percent:g})"
        raise DataError(FIELD, str(path), f"holds duplicates: {problem}", remedy)
    if share > limits.warn_duplicate_percent:
        log.warning("%s: %s", path.name, problem)


def _refuse_nothing_to_learn(path: Path, data_format: str, rows: int, *, unmask: bool) -> None:
    if data_format == "processed":
        refuse(path, None, f"every label of its {rows} rows is -100: nothing would be learned", "set the labels that count")
    if data_format == "pretraining":
        refuse(path, None, f"every document of its {rows} rows is empty", "give documents with text")
    if unmask:
        refuse(path, None, f"none of its {rows} rows has anything but system messages", "add user and assistant messages")
    remedy = "add assistant messages, or set unmask: true on rows that are to be learned whole"
    refuse(path, None, f"none of its {rows} rows has an assistant turn: nothing would be learned", remedy)
