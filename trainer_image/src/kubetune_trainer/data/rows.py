"""The user's JSONL, a line at a time: one pass, memory bounded by the longest line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from kubetune_trainer.errors import DataError

FIELD = "data_path"

ROLES = ("system", "user", "assistant", "pretraining", "tool")
"""The usage documents' four, and `tool`, which instructlab-training hands to the chat template like any other role."""

PRETRAINING_MARKS = ("<|user|>", "<|assistant|>", "<|start_of_role|>")
"""What instructlab-training cuts a `pretraining` message by: without one of them it silently keeps nothing of it."""

IGNORED_LABEL = -100
"""A position with this label is not counted in the loss (torch.nn.CrossEntropyLoss's ignore_index)."""


def refuse(path: Path, line: int | None, problem: str, remedy: str) -> NoReturn:
    where = "" if line is None else f"line {line}: "
    raise DataError(FIELD, str(path), f"{where}{problem}", remedy)


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its line number (1-based); blank lines are passed over.

    Raises:
        DataError: missing, no file, not readable, not UTF-8, not JSON, or a line that is not an object.

    """
    if not path.exists():
        refuse(path, None, "does not exist", "check the path, and that its volume is mounted")
    if not path.is_file():
        refuse(path, None, "is not a file", "name one JSON Lines file")
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    yield number, _parse(path, number, raw)
    except OSError as error:
        raise DataError(FIELD, str(path), f"cannot be read ({error.strerror})", "check the volume and its permissions") from error


def _parse(path: Path, number: int, raw: bytes) -> dict[str, Any]:
    try:
        row = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        refuse(path, number, f"is not UTF-8 ({error.reason} at byte {error.start})", "save the file as UTF-8")
    except (ValueError, RecursionError) as error:
        refuse(path, number, f"is no JSON ({error})", "write one JSON object a line (JSON Lines)")
    if not isinstance(row, dict):
        refuse(path, number, f"is a JSON {type(row).__name__}, not an object", 'write {"messages": [...]} on each line')
    return row


def check_messages(path: Path, line: int, row: dict[str, Any], *, unmask: bool) -> bool:
    """Refuses a row that is no conversation; says whether any of it is counted in the loss."""
    messages = row.get("messages")
    if messages is None:
        found = ", ".join(sorted(row)) or "nothing"
        refuse(path, line, f"has no messages (it has {found})", 'write {"messages": [{"role": ..., "content": ...}]}')
    if not isinstance(messages, list) or not messages:
        refuse(path, line, "messages is empty or not a list", "give at least one message")
    if not isinstance(row.get("unmask"), bool | None):
        refuse(path, line, f"unmask is {row['unmask']!r}, neither true nor false", "write true or false, or leave it out")
    for index, message in enumerate(messages):
        _check_message(path, line, f"messages[{index}]", message)
    roles = {message["role"] for message in messages}
    learns_all = unmask or bool(row.get("unmask"))
    return bool(roles - {"system"}) if learns_all else bool(roles & {"assistant", "pretraining"})


def _check_message(path: Path, line: int, name: str, message: object) -> None:
    if not isinstance(message, dict):
        refuse(path, line, f"{name} is not an object", 'write {"role": ..., "content": ...}')
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        refuse(path, line, f"{name}.role {role!r} does not exist", f"use one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        refuse(path, line, f"{name}.content is {type(content).__name__}, not a string", "give the text as one string")
    for key in ("reasoning_content", "thinking"):
        if not isinstance(message.get(key), str | None):
            refuse(path, line, f"{name}.{key} is not a string", "give the text as one string, or leave it out")
    if role == "pretraining" and not any(mark in content for mark in PRETRAINING_MARKS):
        remedy = "give user and assistant messages, with unmask: true"
        refuse(path, line, f"{name}: a pretraining message without {' or '.join(PRETRAINING_MARKS)} is dropped whole", remedy)


def check_processed(path: Path, line: int, row: dict[str, Any]) -> bool:
    """Refuses a row that is not tokenised; says whether any of it is counted in the loss."""
    for key in ("input_ids", "labels"):
        values = row.get(key)
        if not isinstance(values, list) or not values:
            remedy = "give input_ids and labels, two lists of one length"
            refuse(path, line, f"{key} is {'missing' if values is None else 'empty or not a list'}", remedy)
        bad = next((value for value in values if type(value) is not int), None)
        if bad is not None or None in values:
            refuse(path, line, f"{key} holds {bad!r}, not an integer", "give token numbers")
    tokens, labels = row["input_ids"], row["labels"]
    if len(tokens) != len(labels):
        problem = f"labels has {len(labels)} entries, input_ids {len(tokens)}"
        refuse(path, line, problem, "give one label for each token (-100: not counted in the loss)")
    if min(tokens) < 0:
        refuse(path, line, f"input_ids holds {min(tokens)}", "token numbers are not negative")
    wrong = next((label for label in labels if label < 0 and label != IGNORED_LABEL), None)
    if wrong is not None:
        refuse(
            path, line, f"labels holds {wrong}", f"use the token's number, or {IGNORED_LABEL} where it is not counted in the loss"
        )
    return any(label != IGNORED_LABEL for label in labels[1:])  # the model predicts the next token: the first label is never used


def check_document(path: Path, line: int, row: dict[str, Any]) -> bool:
    """Refuses a row that is no document; says whether any of it is counted in the loss."""
    document = row.get("document")
    if not isinstance(document, str):
        refuse(path, line, "document is missing or not a string", 'write {"document": "the text"} on each line')
    return bool(document)
