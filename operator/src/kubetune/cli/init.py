"""`kubetune init`: asks for what was not given, and writes the job file."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kubetune.api import InvalidJob, load_documents, parse_job
from kubetune.api.metadata import MAX_NAME, NAME_PATTERN
from kubetune.api.uri import InvalidUriError, Role, parse_uri
from kubetune.cli.errors import UserError
from kubetune.cli.job_text import Answers, job_text

OSFT = "OSFTJob"


@dataclass(frozen=True)
class Question:
    """One thing to ask. `of`: the kind that it is asked for alone."""

    key: str
    text: str
    default: Any
    check: Callable[[Any], Any]
    of: str | None = None


def uri(role: Role) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            return parse_uri(text, role).text
        except InvalidUriError as error:
            raise click.BadParameter(str(error)) from error

    return check


def name(text: str) -> str:
    if len(text) > MAX_NAME or not re.fullmatch(NAME_PATTERN, text):
        raise click.BadParameter(f"{text!r}: use lower-case letters, digits and '-', a letter first, at most {MAX_NAME} characters")
    return text


def number(kind: type[int | float], least: float, most: float) -> Callable[[Any], int | float]:
    def check(value: Any) -> int | float:
        try:
            found = kind(value)
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is no number") from error
        if not least <= found <= most:
            raise click.BadParameter(f"{value}: use a number from {least:g} to {most:g}")
        return found

    return check


def one_of(*choices: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        found = next((each for each in choices if each.lower() == text.lower()), None)
        if found is None:
            raise click.BadParameter(f"{text!r}: write {' or '.join(choices)}")
        return found

    return check


LARGE = 2**31 - 1
QUESTIONS = (
    Question(
        "kind", "Kind (SFTJob: supervised fine-tuning; OSFTJob: keeps what the model knows)", "SFTJob", one_of("SFTJob", OSFT)
    ),
    Question("name", "Name of the job", "my-job", name),
    Question("model", "Model (hf://org/name, pvc://claim/path, s3://bucket/key, /path)", "pvc://models/base", uri("directory")),
    Question("dataset", "Data set, one JSON Lines file", "pvc://data/train.jsonl", uri("file")),
    Question("output", "Where checkpoints go", "pvc://runs", uri("directory")),
    Question("device", "Train on gpu or cpu", "gpu", one_of("gpu", "cpu")),
    Question("nodes", "Nodes", 1, number(int, 1, 999)),
    Question("procs_per_node", "Training processes a node (its GPUs)", 1, number(int, 1, 128)),
    Question("epochs", "Epochs", 1, number(int, 1, LARGE)),
    Question("batch_size", "Samples an optimizer step, over all GPUs", 128, number(int, 1, LARGE)),
    Question("max_seq_len", "Longest sample in tokens", 4096, number(int, 1, LARGE)),
    Question("max_tokens_per_gpu", "Tokens of a mini-batch on one GPU", 8192, number(int, 1, LARGE)),
    Question("learning_rate", "Learning rate", 2e-5, number(float, 1e-12, 1)),
    Question("unfreeze_rank_ratio", "Share of each matrix's directions that is trained", 0.3, number(float, 0, 1), of=OSFT),
)


def init_file(*, file: str, yes: bool, **given: Any) -> int:
    """Asks, writes, and says what to do next; the exit code. Raises UserError, and leaves nothing then."""
    refuse_to_overwrite(file)
    answers = Answers(**answered(given, ask=not yes), namespace=given["namespace"], queue=given["queue"])
    text = job_text(answers, file)
    try:
        parse_job(load_documents(text)[0])
    except InvalidJob as error:
        raise UserError("\n".join(map(str, error.errors))) from error
    write_new(file, text)
    click.echo(f"{file}: {answers.kind} {answers.name} is written and valid", err=True)
    click.echo(f"  kubetune estimate {file} --gpu-memory 80Gi\n  kubetune run {file}\n  kubectl apply -f {file}", err=True)
    return 0


def refuse_to_overwrite(file: str) -> None:
    if Path(file).exists():
        raise UserError(f"{file} exists and is not overwritten; name another file, or remove it")


def write_new(file: str, text: str) -> None:
    try:
        with Path(file).open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        refuse_to_overwrite(file)
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error}); name another file") from error


def answered(given: Mapping[str, Any], *, ask: bool) -> dict[str, Any]:
    """An answer to every question that is asked of the kind, in their order."""
    found: dict[str, Any] = {}
    for question in QUESTIONS:
        if question.of in (None, found.get("kind")):
            found[question.key] = answer(question, given.get(question.key), found, ask=ask)
    return found


def answer(question: Question, given: Any, before: Mapping[str, Any], *, ask: bool) -> Any:
    """Given answers are checked and not asked for; the default of tokens is never less than the longest sample."""
    if given is not None:
        try:
            return question.check(given)
        except click.BadParameter as error:
            raise UserError(f"--{question.key.replace('_', '-')}: {error.message}") from error
    default = question.default
    if question.key == "max_tokens_per_gpu":
        default = max(default, before["max_seq_len"])
    return click.prompt(question.text, default=default, value_proc=question.check, err=True) if ask else default
