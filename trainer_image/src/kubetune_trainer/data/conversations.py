"""Messages to samples by instructlab-training's own functions, row by row, so that the masking is the backend's.

Its process_messages_into_input_ids does the same through Arrow tables: it cannot say which row it failed on, fails where the
columns of rows differ, needs the whole set on disk four times over and drops samples without a word. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from kubetune_trainer.data.parallel import chunks, in_order, processes_for
from kubetune_trainer.data.problems import FIELD, Errors
from kubetune_trainer.data.rows import REASONING
from kubetune_trainer.data.sample import Sample, sample
from kubetune_trainer.data.source import parse, read_lines
from kubetune_trainer.data.survey import Survey
from kubetune_trainer.errors import DataError
from kubetune_trainer.plugins.no_own_trackers import import_without_trackers

LENGTH_OF_ERROR = 300
REMEDY = "check the order of the roles (most templates want user and assistant in turn)"
THOUGHT, THOUGHT_REMEDY = "</think>", "move what is between <think> and </think> from content to reasoning_content"
"""Templates that cut the content there tear the backend's marks apart."""


def from_messages(source: Path, model_dir: Path, survey: Survey, *, unmask: bool, errors_shown: int) -> Iterator[Sample]:
    """One sample a row, in order; nothing is left out.

    Raises:
        DataError: the chat template, or the backend, refuses a row; names the first lines.

    """
    backend_tokenizer.cache_clear()  # the directory may hold another one since
    backend_tokenizer(model_dir)  # before the fork: the children share it
    errors = Errors(source, errors_shown)
    work = partial(_tokenised, source, model_dir, unmask)
    for made in in_order(work, chunks(read_lines(source)), processes_for(survey.rows)):
        for each in made:
            if isinstance(each, DataError):
                errors.add(each)
            elif not errors.count:
                yield each
    errors.raise_any()


@lru_cache(maxsize=1)
def backend_tokenizer(model_dir: Path) -> Any:
    """The model's tokenizer with the marks that the backend masks by."""
    import_without_trackers("instructlab.training")
    from instructlab.training.data_process import configure_tokenizer

    return configure_tokenizer(str(model_dir))


def _tokenised(source: Path, model_dir: Path, unmask: bool, lines: list[tuple[int, bytes]]) -> list[Sample | DataError]:
    tokenizer = backend_tokenizer(model_dir)
    return [_one(source, tokenizer, unmask, line, parse(source, line, raw)) for line, raw in lines]


def _one(source: Path, tokenizer: Any, unmask: bool, line: int, row: dict[str, Any]) -> Sample | DataError:
    try:
        return conversation(tokenizer, row, unmask=unmask)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - a template raises what it likes, and the backend ValueError and RuntimeError
        said = f"{type(error).__name__}: {str(error)[:LENGTH_OF_ERROR]}"
        problem = f"line {line}: cannot be tokenised with this model's chat template ({said})"
        thought = any(THOUGHT in (message.get("content") or "") for message in row["messages"])
        return DataError(FIELD, str(source), problem, THOUGHT_REMEDY if thought else REMEDY)


def conversation(tokenizer: Any, row: dict[str, Any], *, unmask: bool) -> Sample:
    """The row as the backend would train on it; `tokenizer`: backend_tokenizer's."""
    import_without_trackers("instructlab.training")
    from instructlab.training.data_process import ensure_dataset_is_compatible_with_legacy_format, unmask_sample

    given = {"messages": row["messages"], "unmask": unmask or bool(row.get("unmask"))}
    unrolled = ensure_dataset_is_compatible_with_legacy_format(given)
    messages, unseen = with_printed_reasoning(tokenizer, unrolled["messages"])
    made = unmask_sample({**unrolled, "messages": messages}, tokenizer)
    answers = any(message["role"] == "assistant" for message in messages)
    endless = answers and tokenizer.eos_token_id not in made["labels"]
    return sample(made["input_ids"], made["labels"], endless=endless, unseen_reasoning=unseen)


def with_printed_reasoning(tokenizer: Any, messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
    """The messages without the reasoning that the chat template does not print (most print none, others only that of the last
    turn), and whether there was such reasoning.

    The backend counts on it being printed: where it is not, it loses track of which text is whose, and the end of the
    assistant's turn stays out of the loss, so that the model never learns to stop.
    """
    traced = [(i, key) for i, message in enumerate(messages) for key in REASONING if message.get(key)]
    if not traced:
        return messages, False
    marks = {place: f"kubetune-{place[0]}-{place[1]}" for place in traced}
    marked = [{**message, **{key: marks[i, key] for j, key in traced if j == i}} for i, message in enumerate(messages)]
    text = tokenizer.apply_chat_template(marked, tokenize=False)
    unseen = {place for place, mark in marks.items() if mark not in text}
    less = [{key: value for key, value in message.items() if (i, key) not in unseen} for i, message in enumerate(messages)]
    changed = unseen and tokenizer.apply_chat_template(less, tokenize=False) != tokenizer.apply_chat_template(
        messages, tokenize=False
    )
    return (messages if changed else less), bool(unseen)


def unprinted_roles(model_dir: Path, survey: Survey) -> tuple[str, ...]:
    """What the chat template leaves out without an error, told by the first row of each role."""
    tokenizer, found = backend_tokenizer(model_dir), []
    for role, (line, row) in survey.examples.items():
        texts = [m["content"].strip() for m in row["messages"] if m["role"] == role and m.get("content")]
        if role == "pretraining" or not any(texts):
            continue
        try:
            printed = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        except Exception:  # noqa: BLE001, S112 - tokenising says which rows the template refuses, and why
            continue
        if not any(text in printed for text in texts if text):
            found.append(f"the chat template prints nothing of role {role!r} (line {line}): the model does not see such messages")
    return tuple(found)
