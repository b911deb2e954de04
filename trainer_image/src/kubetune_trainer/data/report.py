"""What of the data set is trained on, and when that is refused or warned of."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from kubetune_trainer.data.problems import FIELD
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.errors import ConfigurationError, DataError

log = logging.getLogger(__name__)

REPORT_NAME = "data-report.json"

SHORTEST = 20
"""instructlab-training's lower limit for messages, in tokens (filter_samples_by_length)."""


@dataclass(frozen=True)
class DataReport:
    """Lengths in tokens. A row is a sample, but for documents, which are joined and cut into samples."""

    file: Path
    rows: int  # in the source
    kept: int  # samples
    dropped_long: int
    dropped_short: int
    tokens: int  # of the samples kept
    tokens_in_loss: int
    longest: int  # of the samples kept
    dropped_from: int = 0  # the shortest of those dropped as too long
    dropped_to: int = 0  # the longest of them
    masked: int = 0  # samples kept of which nothing is in the loss
    endless: int = 0  # samples kept whose assistant never ends a turn within the loss
    unseen_reasoning: int = 0  # samples kept with reasoning that the chat template does not print
    duplicates: int = 0  # rows that repeat an earlier one
    duplicates_exact: bool = True
    remarks: tuple[str, ...] = ()
    reused: bool = False  # taken from the cache

    @property
    def dropped_percent(self) -> float:
        """Share of the samples that are too long."""
        return _percent(self.dropped_long, self.kept + self.dropped_long + self.dropped_short)

    @property
    def loss_percent(self) -> float:
        """Share of the tokens kept that is counted in the loss."""
        return _percent(self.tokens_in_loss, self.tokens)

    @property
    def duplicate_percent(self) -> float:
        return _percent(self.duplicates, self.rows)

    def __str__(self) -> str:
        about = "" if self.duplicates_exact else "about "
        return (
            f"{self.rows} rows give {self.kept} samples of {self.tokens} tokens, {self.loss_percent:.1f} % of them in the loss; "
            f"longest {self.longest}; left out: {self.dropped_long} too long ({self.dropped_percent:.1f} %), {self.dropped_short} "
            f"too short; {about}{self.duplicates} rows repeat an earlier one ({self.duplicate_percent:.1f} %)"
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: all fields, and the shares in per cent."""
        shares = {name: round(getattr(self, name), 3) for name in ("dropped_percent", "loss_percent", "duplicate_percent")}
        return {**asdict(self), "file": str(self.file), **shares}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Raises TypeError or KeyError where fields are missing."""
        known = {field.name: values[field.name] for field in fields(cls)}
        return cls(**{**known, "file": Path(known["file"]), "remarks": tuple(known["remarks"])})

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def refuse_useless(source: Path, report: DataReport, max_seq_len: int, bounds: tuple[int, int]) -> None:
    """`bounds`: the shortest and the longest sample that is kept.

    Raises:
        DataError: no sample is left, or none of what is left is counted in the loss.

    """
    shortest, longest = bounds
    if not report.kept and report.dropped_long:
        lengths = f"{report.dropped_long} are longer than that, {report.dropped_from} to {report.dropped_to} tokens"
        problem = f"leaves no sample of {report.rows} rows: {longest} tokens is the longest kept, and {lengths}"
        remedy = f"raise max_seq_len above {report.dropped_from} (above {report.dropped_to} keeps them all) or shorten the samples"
        raise DataError("max_seq_len", max_seq_len, problem, remedy)
    if not report.kept:
        problem = f"has no sample of at least {shortest} tokens in its {report.rows} rows, the shortest that is trained on"
        raise DataError(FIELD, str(source), problem, "join short samples into longer conversations")
    if not report.tokens_in_loss:
        problem = f"has {report.kept} usable samples, and every label of theirs is masked: nothing would be learned"
        remedy = "check that the chat template prints the assistant's text, or unmask the messages"
        raise DataError(FIELD, str(source), problem, remedy)


def judge(source: Path, report: DataReport, max_seq_len: int, max_tokens_per_gpu: int, limits: DataSettings) -> None:
    """Refuses what is beyond the limits, and says what is odd.

    Raises:
        DataError: too much is left out, or too little counted in the loss.
        ConfigurationError: max_tokens_per_gpu cannot hold the longest sample.

    """
    if report.longest > max_tokens_per_gpu:
        problem = f"is smaller than the longest sample that max_seq_len keeps ({report.longest} tokens)"
        remedy = f"raise max_tokens_per_gpu to at least {report.longest}, or lower max_seq_len"
        raise ConfigurationError("max_tokens_per_gpu", max_tokens_per_gpu, problem, remedy)
    if report.dropped_percent > limits.refuse_dropped_percent:
        problem = (
            f"leaves out {report.dropped_long} samples ({report.dropped_percent:.1f} %), up to {report.dropped_to} tokens long"
        )
        remedy = f"raise it, or raise KUBETUNE_DATA_REFUSE_DROPPED_PERCENT ({limits.refuse_dropped_percent:g})"
        raise DataError("max_seq_len", max_seq_len, problem, remedy)
    if report.loss_percent < limits.refuse_loss_percent:
        problem = f"has {report.loss_percent:.2f} % of its tokens in the loss"
        remedy = f"unmask more, or lower KUBETUNE_DATA_REFUSE_LOSS_PERCENT ({limits.refuse_loss_percent:g})"
        raise DataError(FIELD, str(source), problem, remedy)
    log.info("%s", report)
    for warning in warnings_of(report, max_seq_len, limits):
        log.warning("%s", warning)


def warnings_of(report: DataReport, max_seq_len: int, limits: DataSettings) -> list[str]:
    """In plain words, worst first."""
    found = []
    if report.dropped_percent > limits.warn_dropped_percent:
        found.append(
            f"max_seq_len {max_seq_len} leaves out {report.dropped_long} samples ({report.dropped_percent:.1f} %), "
            f"{report.dropped_from} to {report.dropped_to} tokens long"
        )
    if report.loss_percent < limits.warn_loss_percent:
        found.append(f"only {report.loss_percent:.2f} % of the tokens are counted in the loss")
    if report.dropped_short:
        found.append(f"{report.dropped_short} samples are left out: too short, or nothing in them can be predicted")
    if report.masked:
        found.append(f"{report.masked} samples have nothing in the loss: they cost time and teach nothing")
    if report.endless:
        found.append(
            f"in {report.endless} samples no end of an assistant's turn is in the loss, and the model does not learn to stop: "
            "the tokenizer's eos_token must be the token with which the chat template ends a turn"
        )
    if report.unseen_reasoning:
        found.append(
            f"the chat template does not print all of the reasoning of {report.unseen_reasoning} samples: it is not trained on"
        )
    return [*found, *report.remarks]
