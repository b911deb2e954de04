"""The data set as the training libraries read it: {"input_ids", "labels", "len"} a line, with a count of what was left out.

The backends' own limits on length are applied here, counted: instructlab-training keeps only samples of 20 to max_seq_len - 1
tokens and says nothing about the rest.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kubetune_trainer.data.cache import DataCache, key_of
from kubetune_trainer.data.conversations import from_messages, unprinted_roles
from kubetune_trainer.data.documents import from_documents
from kubetune_trainer.data.report import REPORT_NAME, SHORTEST, DataReport, judge, refuse_useless
from kubetune_trainer.data.sample import Sample, Tally, sample
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.data.source import read_rows
from kubetune_trainer.data.survey import Survey
from kubetune_trainer.errors import ConfigurationError

log = logging.getLogger(__name__)

DATA_NAME = "data.jsonl"


@dataclass(frozen=True)
class DataRequest:
    """One data set to tokenise; every path absolute."""

    source: Path
    survey: Survey  # of the source: what check_dataset returned
    data_format: str  # messages, processed or pretraining
    model_dir: Path
    directory: Path  # the node's own
    max_seq_len: int
    max_tokens_per_gpu: int
    unmask: bool = False
    cache_dir: Path | None = None  # None: nothing is kept
    settings: DataSettings = field(default_factory=DataSettings)

    @property
    def bounds(self) -> tuple[int, int]:
        """The shortest and the longest sample that is kept."""
        if self.data_format == "messages":
            return SHORTEST, self.max_seq_len - 1
        return (1 if self.data_format == "processed" else 2), self.max_seq_len


def tokenise(request: DataRequest) -> DataReport:
    """Puts data.jsonl into the node's directory, replacing an earlier one as a whole, and data-report.json beside it.

    Which lengths are kept: messages, 20 to max_seq_len - 1 (the backend's rule); processed data, up to max_seq_len;
    documents are cut into blocks of max_seq_len.

    Raises:
        DataError: no sample is left, none of what is left is counted in the loss, or a limit of the settings is passed.
        ConfigurationError: max_tokens_per_gpu cannot hold the longest sample, or the directory cannot be written.

    """
    scratch = _scratch(request.directory)
    try:
        report = _from_cache(request, scratch / DATA_NAME) if request.cache_dir else write_samples(request, scratch / DATA_NAME)
        target = request.directory / DATA_NAME
        report = replace(
            report, file=target, duplicates=request.survey.duplicates, duplicates_exact=request.survey.duplicates_exact
        )
        judge(request.source, report, request.max_seq_len, request.max_tokens_per_gpu, request.settings)
        (scratch / DATA_NAME).replace(target)
        report.save(request.directory / REPORT_NAME)
        return report
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_samples(request: DataRequest, target: Path) -> DataReport:
    """Tokenises into `target`; raises DataError as tokenise()."""
    survey, tally = request.survey, Tally(*request.bounds)
    remarks = survey.remarks
    with target.open("w") as file:
        file.writelines(f"{made.text}\n" for made in _samples(request) if tally.takes(made))
    if request.data_format == "messages":
        remarks += unprinted_roles(request.model_dir, survey)
    report = DataReport(file=target, rows=survey.rows, remarks=remarks, **tally.counts())
    refuse_useless(request.source, report, request.max_seq_len, request.bounds)
    return report


def _samples(request: DataRequest) -> Iterator[Sample]:
    if request.data_format == "messages":
        shown = request.settings.errors_shown
        return from_messages(request.source, request.model_dir, request.survey, unmask=request.unmask, errors_shown=shown)
    if request.data_format == "pretraining":
        return from_documents(request.source, request.model_dir, request.survey, request.max_seq_len)
    return (sample(row["input_ids"], row["labels"]) for _, row in read_rows(request.source))


def _from_cache(request: DataRequest, target: Path) -> DataReport:
    cache = DataCache(request.cache_dir or target.parent, request.settings.cache_bytes)
    key = key_of(
        model_dir=request.model_dir,
        rows=request.survey.digest,
        data_format=request.data_format,
        unmask=request.unmask,
        max_seq_len=request.max_seq_len,
    )
    report = cache.get_or_make(key, target, lambda file: write_samples(request, file))
    if report.reused:
        log.info("tokenised before: taken from %s", cache.directory / key)
    return report


def _scratch(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=directory, prefix=".tokenising-"))
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise ConfigurationError("data_output_dir", str(directory), problem, "name a directory that can be written") from error
