"""Everything that can be refused before anything is launched: the data set, the model and the output.

The training libraries find most of this out late, on every GPU, or never: a missing file is first looked for on the Hub
(33 s), an unknown role and a data set without assistant turns train to NaN and end with exit code 0.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data.rows import check_document, check_messages, check_processed, read_rows, refuse
from kubetune_trainer.errors import ConfigurationError, TrainingError

MODEL_FIELD = "model_path"
OUTPUT_FIELD = "ckpt_output_dir"

PROBE = ".kubetune-probe-"
"""How the names of the files begin by which each node proves that it can write."""

FULL = (errno.ENOSPC, errno.EDQUOT)

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class ModelFacts:
    """What of the model decides about defaults and checks."""

    max_positions: int | None  # tokens; None: the model does not say
    vocab_size: int | None  # rows of the embedding


def check_dataset(path: Path, data_format: str, *, unmask: bool = False) -> int:
    """Reads the whole file once and returns the number of rows.

    Args:
        path: the JSONL file.
        data_format: messages ({"messages": [...]}), processed ({"input_ids": [...], "labels": [...]}) or
            pretraining ({"document": "..."}).
        unmask: every message but the system's is counted in the loss.

    Raises:
        DataError: names the line and the remedy.

    """
    rows, learns = 0, False
    for line, row in read_rows(path):
        rows += 1
        if data_format == "messages":
            counted = check_messages(path, line, row, unmask=unmask)
        else:
            counted = (check_processed if data_format == "processed" else check_document)(path, line, row)
        learns = learns or counted
    if not rows:
        refuse(path, None, "is empty", "give at least one row")
    if not learns:
        _refuse_nothing_to_learn(path, data_format, rows, unmask=unmask)
    return rows


def _refuse_nothing_to_learn(path: Path, data_format: str, rows: int, *, unmask: bool) -> None:
    if data_format == "processed":
        refuse(path, None, f"every label of its {rows} rows is -100: nothing would be learned", "set the labels that count")
    if data_format == "pretraining":
        refuse(path, None, f"every document of its {rows} rows is empty", "give documents with text")
    if unmask:
        refuse(path, None, f"none of its {rows} rows has anything but system messages", "add user and assistant messages")
    remedy = "add assistant messages, or set unmask: true on rows that are to be learned whole"
    refuse(path, None, f"none of its {rows} rows has an assistant turn: nothing would be learned", remedy)


def check_model(path: Path, *, needs_chat_template: bool) -> ModelFacts:
    """Loads config and tokenizer and looks for every weight file.

    Raises:
        ConfigurationError: no directory, no config.json, unreadable, weights missing, no tokenizer, no chat template.

    """
    if not path.is_dir():
        problem = "is not a directory" if path.exists() else "does not exist"
        raise ConfigurationError(MODEL_FIELD, str(path), problem, "name a Hugging Face model directory, and check its volume")
    if not (path / "config.json").is_file():
        remedy = "name the directory that holds config.json, the weights and the tokenizer"
        raise ConfigurationError(MODEL_FIELD, str(path), "has no config.json", remedy)
    config = _load_config(path)
    _check_weights(path)
    _check_tokenizer(path, needs_chat_template=needs_chat_template)
    text = config.get_text_config()
    return ModelFacts(getattr(text, "max_position_embeddings", None), getattr(text, "vocab_size", None))


def trust_remote_code() -> bool:
    """As both training libraries read it."""
    return os.environ.get("TRUST_REMOTE_CODE", "").lower() in ("1", "true", "yes")


def _load_config(path: Path) -> Any:
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code())
    except Exception as error:  # transformers raises whatever its parsers raise
        problem = f"has a config.json that transformers cannot read ({_first_line(error)})"
        raise ConfigurationError(
            MODEL_FIELD, str(path), problem, "save the model again with this or an older transformers"
        ) from error


def _check_weights(path: Path) -> None:
    present = next((name for name in WEIGHTS if (path / name).is_file()), None)
    if present is None:
        remedy = "complete the copy, or name the right directory"
        raise ConfigurationError(MODEL_FIELD, str(path), f"has no weights ({' or '.join(WEIGHTS[:2])})", remedy)
    if present.endswith(".index.json"):
        try:
            shards = sorted(set(json.loads((path / present).read_text())["weight_map"].values()))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ConfigurationError(MODEL_FIELD, str(path), f"has an unreadable {present}", "copy the model again") from error
        missing = [name for name in shards if not (path / name).is_file()]
        if missing:
            raise ConfigurationError(MODEL_FIELD, str(path), f"lacks {', '.join(missing)}", "complete the copy of the model")


def _check_tokenizer(path: Path, *, needs_chat_template: bool) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code())
    except Exception as error:  # as above
        problem = f"has no tokenizer that transformers can load ({_first_line(error)})"
        raise ConfigurationError(MODEL_FIELD, str(path), problem, "copy the tokenizer's files beside the model") from error
    if needs_chat_template and not tokenizer.chat_template:
        remedy = "add chat_template.jinja (an instruct model has one), or give processed data (input_ids, labels)"
        raise ConfigurationError(MODEL_FIELD, str(path), "has a tokenizer without a chat template", remedy)


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:200]


def check_output(path: Path, *, field: str = OUTPUT_FIELD) -> None:
    """Makes the directory and proves by a file that it can be written.

    Raises:
        ConfigurationError: it cannot; names the operating system's reason.
        TrainingError: the disk is full; another try may find room.

    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path, prefix=PROBE):
            pass
    except OSError as error:
        if error.errno in FULL:
            raise TrainingError(FailureClass.DISK_FULL, f"{field}: {str(path)!r} is on a full disk: {error.strerror}") from error
        reason = error.strerror or str(error)
        remedy = "name a directory that this user may write, on a volume with free space"
        raise ConfigurationError(field, str(path), f"cannot be written ({reason})", remedy) from error
