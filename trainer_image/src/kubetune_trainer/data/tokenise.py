"""The data set as the training libraries read it: {"input_ids", "labels", "len"} a line, with a count of what was left out.

Messages go through instructlab-training's own process_messages_into_input_ids, so that the masking is the backend's. It
keeps only samples of 20 to maxSeqLen - 1 tokens and says nothing about the rest; here it runs without the upper limit, and
the same rule is applied afterwards, counted.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kubetune_trainer.data.preflight import trust_remote_code
from kubetune_trainer.data.rows import FIELD, IGNORED_LABEL, read_rows, refuse
from kubetune_trainer.errors import ConfigurationError, DataError

logger = logging.getLogger(__name__)

SHORTEST = 20
"""instructlab-training's lower limit for messages, in tokens (filter_samples_by_length)."""

NO_LIMIT = 2**31 - 1
ROWS_PER_PROCESS = 2000
"""Starting a process costs about as much as tokenising this many rows."""


@dataclass(frozen=True)
class DataRequest:
    """One data set to tokenise; every path absolute."""

    source: Path
    data_format: str  # messages, processed or pretraining
    model_dir: Path
    directory: Path  # the node's own
    max_seq_len: int
    max_tokens_per_gpu: int
    unmask: bool = False
    vocab_size: int | None = None  # rows of the model's embedding; None: not checked


@dataclass(frozen=True)
class DataReport:
    """What of the data set is trained on. Lengths in tokens."""

    file: Path
    rows: int  # in the source
    kept: int
    dropped_long: int
    dropped_short: int
    tokens: int  # of the samples kept
    tokens_in_loss: int
    longest: int  # of the samples kept
    masked: int = 0  # samples kept of which nothing is in the loss

    def __str__(self) -> str:
        return (
            f"{self.kept} of {self.rows} samples are trained on ({self.tokens} tokens, {self.tokens_in_loss} in the loss, longest "
            f"{self.longest}); left out: {self.dropped_long} too long, {self.dropped_short} too short"
        )


@dataclass
class Tally:
    """Counts while the samples pass."""

    limit: int  # longest sample kept
    shortest: int  # shortest sample kept
    kept: int = 0
    long: int = 0  # how many are too long
    long_min: int = NO_LIMIT  # the shortest of them
    long_max: int = 0  # the longest of them
    short: int = 0
    tokens: int = 0
    in_loss: int = 0
    longest: int = 0
    masked: int = 0

    def takes(self, sample: dict[str, Any]) -> bool:
        """Counts the sample; True where it is kept."""
        length = len(sample["input_ids"])
        if length > self.limit:
            self.long += 1
            self.long_min, self.long_max = min(self.long_min, length), max(self.long_max, length)
            return False
        if length < self.shortest:
            self.short += 1
            return False
        counted = sum(label != IGNORED_LABEL for label in sample["labels"][1:])  # the first token is never predicted
        self.kept += 1
        self.tokens += length
        self.in_loss += counted
        self.masked += not counted
        self.longest = max(self.longest, length)
        return True


def tokenise(request: DataRequest) -> DataReport:
    """Writes data.jsonl into the node's directory, replacing an earlier one as a whole.

    Which lengths are kept: messages, 20 to max_seq_len - 1 (the backend's rule); processed data, up to max_seq_len;
    documents are cut into pieces of at most max_seq_len.

    Raises:
        DataError: no sample is left, or none of what is left is counted in the loss.
        ConfigurationError: max_tokens_per_gpu cannot hold the longest sample, or the directory cannot be written.

    """
    try:
        request.directory.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=request.directory, prefix=".tokenising-"))
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise ConfigurationError(
            "data_output_dir", str(request.directory), problem, "name a directory that can be written"
        ) from error
    try:
        report = _write(request, scratch / "kept.jsonl", *SAMPLES[request.data_format](request, scratch))
        target = request.directory / "data.jsonl"
        report.file.replace(target)
        return replace(report, file=target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write(request: DataRequest, target: Path, rows: int, samples: Iterator[dict[str, Any]], limits: tuple[int, int]) -> DataReport:
    tally = Tally(limit=limits[1], shortest=limits[0])
    with target.open("w") as file:
        for sample in samples:
            if tally.takes(sample):
                kept = {"input_ids": sample["input_ids"], "labels": sample["labels"], "len": len(sample["input_ids"])}
                file.write(json.dumps(kept, separators=(",", ":")) + "\n")
    _refuse_if_useless(request, tally, rows)
    dropped_short = max(tally.short, rows - tally.kept - tally.long) if request.data_format == "messages" else tally.short
    report = DataReport(
        file=target,
        rows=rows,
        kept=tally.kept,
        dropped_long=tally.long,
        dropped_short=dropped_short,
        tokens=tally.tokens,
        tokens_in_loss=tally.in_loss,
        longest=tally.longest,
        masked=tally.masked,
    )
    _say(request, report, tally)
    return report


def _refuse_if_useless(request: DataRequest, tally: Tally, rows: int) -> None:
    source, count = str(request.source), tally.long
    if not tally.kept and count:
        lengths = f"{count} of {rows} are longer than that, {tally.long_min} to {tally.long_max} tokens"
        problem = f"leaves no sample: {tally.limit} tokens is the longest kept, and {lengths}"
        remedy = f"raise max_seq_len above {tally.long_min} (above {tally.long_max} keeps them all) or shorten the samples"
        raise DataError("max_seq_len", request.max_seq_len, problem, remedy)
    if not tally.kept:
        problem = f"has no sample of at least {tally.shortest} tokens in its {rows} rows, the shortest that is trained on"
        raise DataError(FIELD, source, problem, "join short samples into longer conversations")
    if not tally.in_loss:
        problem = f"has {tally.kept} usable samples, and every label of theirs is masked: nothing would be learned"
        remedy = "check that the chat template prints the assistant's text, or unmask the messages"
        raise DataError(FIELD, source, problem, remedy)
    if tally.longest > request.max_tokens_per_gpu:
        problem = f"is smaller than the longest sample that max_seq_len keeps ({tally.longest} tokens)"
        remedy = f"raise max_tokens_per_gpu to at least {tally.longest}, or lower max_seq_len"
        raise ConfigurationError("max_tokens_per_gpu", request.max_tokens_per_gpu, problem, remedy)


def _say(request: DataRequest, report: DataReport, tally: Tally) -> None:
    logger.info("%s", report)
    if report.dropped_long:
        logger.warning(
            "max_seq_len %d keeps samples of up to %d tokens: %d are left out, %d to %d tokens long",
            request.max_seq_len, tally.limit, report.dropped_long, tally.long_min, tally.long_max,
        )  # fmt: skip
    if report.dropped_short:
        logger.warning("%d samples are left out: shorter than %d tokens", report.dropped_short, tally.shortest)
    if report.masked:
        logger.warning("%d samples have nothing in the loss: they cost time and teach nothing", report.masked)


Samples = tuple[int, Iterator[dict[str, Any]], tuple[int, int]]
"""Rows of the source, the samples made of them, and the shortest and longest that is kept."""


def _from_messages(request: DataRequest, scratch: Path) -> Samples:
    reduced, rows = scratch / "messages.jsonl", 0
    with reduced.open("w") as file:
        for _, row in read_rows(request.source):
            rows += 1
            unmask = request.unmask or bool(row.get("unmask"))
            # other columns are left behind: the backend does not use them, and its reader fails where their types differ by row
            file.write(json.dumps({"messages": row["messages"], "unmask": unmask}) + "\n")
    _process_messages(request, reduced, scratch, rows)
    samples = (row for _, row in read_rows(scratch / "data.jsonl"))
    return rows, samples, (SHORTEST, request.max_seq_len - 1)


def _process_messages(request: DataRequest, reduced: Path, scratch: Path, rows: int) -> None:
    from instructlab.training.data_process import process_messages_into_input_ids

    processes = min(os.cpu_count() or 1, rows // ROWS_PER_PROCESS) or None  # None: in this process, 0.2 s instead of 2
    try:
        with _quiet(scratch / "cache"):
            process_messages_into_input_ids(str(reduced), str(scratch), NO_LIMIT, str(request.model_dir), processes)
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # the rows were checked one by one: what fails here is the chat template's opinion of them, or the backend's
        problem = f"cannot be tokenised with this model's chat template ({type(error).__name__}: {str(error)[:300]})"
        remedy = "check the order of the roles (most templates want user and assistant in turn)"
        raise DataError(FIELD, str(request.source), problem, remedy) from error


@contextlib.contextmanager
def _quiet(cache: Path) -> Iterator[None]:
    """No samples on standard output, no progress bars, and the Arrow cache beside the data instead of the home directory."""
    import datasets

    home, bars = datasets.config.HF_DATASETS_CACHE, datasets.utils.is_progress_bar_enabled()
    datasets.config.HF_DATASETS_CACHE = cache
    datasets.disable_progress_bars()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        datasets.config.HF_DATASETS_CACHE = home
        if bars:
            datasets.enable_progress_bars()


def _from_processed(request: DataRequest, scratch: Path) -> Samples:  # noqa: ARG001 - one signature for all formats
    rows = sum(1 for _ in read_rows(request.source))

    def samples() -> Iterator[dict[str, Any]]:
        for line, row in read_rows(request.source):
            largest = max(*row["input_ids"], *row["labels"])
            if request.vocab_size is not None and largest >= request.vocab_size:
                problem = f"token {largest} is beyond the model's vocabulary of {request.vocab_size}"
                refuse(request.source, line, problem, "tokenise with this model's own tokenizer")
            yield row

    return rows, samples(), (1, request.max_seq_len)


def _from_documents(request: DataRequest, scratch: Path) -> Samples:  # noqa: ARG001 - as above
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(request.model_dir, trust_remote_code=trust_remote_code())
    rows = sum(1 for _ in read_rows(request.source))

    def pieces() -> Iterator[dict[str, Any]]:
        for _, row in read_rows(request.source):
            tokens = tokenizer.encode(row["document"]) if row["document"] else []
            if tokens and tokenizer.eos_token_id is not None and tokens[-1] != tokenizer.eos_token_id:
                tokens.append(tokenizer.eos_token_id)
            for start in range(0, len(tokens), request.max_seq_len):
                piece = tokens[start : start + request.max_seq_len]
                yield {"input_ids": piece, "labels": list(piece)}

    return rows, pieces(), (2, request.max_seq_len)


SAMPLES: dict[str, Callable[[DataRequest, Path], Samples]] = {
    "messages": _from_messages,
    "processed": _from_processed,
    "pretraining": _from_documents,
}
