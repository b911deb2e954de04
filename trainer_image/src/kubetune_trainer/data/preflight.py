"""Model and output, refused before anything is launched (the data set: survey.py).

The training libraries find most of this out late, on every GPU, or never.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetune_trainer.data.readable import check_readable, may_enter
from kubetune_trainer.data.rows import ROLES
from kubetune_trainer.disk import full_disk, says_full
from kubetune_trainer.errors import ConfigurationError

MODEL_FIELD = "model_path"
OUTPUT_FIELD = "ckpt_output_dir"

PROBE = ".kubetune-probe-"
"""How the names of the files begin by which each node proves that it can write."""

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class ModelFacts:
    """What of the model decides about defaults and checks."""

    max_positions: int | None  # tokens; None: the model does not say
    vocab_size: int | None  # rows of the embedding
    roles: frozenset[str] = ROLES  # that a message may have


def check_model(path: Path, *, needs_chat_template: bool) -> ModelFacts:
    """Loads config and tokenizer and looks for every weight file.

    Raises:
        ConfigurationError: no directory, no config.json, unreadable (its text or its rights), weights missing, no tokenizer, no
            chat template.

    """
    may_enter(MODEL_FIELD, path)
    if not path.is_dir():
        problem = "is not a directory" if path.exists() else "does not exist"
        raise ConfigurationError(MODEL_FIELD, str(path), problem, "name a Hugging Face model directory, and check its volume")
    check_readable(MODEL_FIELD, path)
    if not (path / "config.json").is_file():
        remedy = "name the directory that holds config.json, the weights and the tokenizer"
        raise ConfigurationError(MODEL_FIELD, str(path), "has no config.json", remedy)
    config = _load_config(path)
    _check_weights(path)
    roles = ROLES | roles_named_in(_chat_template(path, needed=needs_chat_template))
    text = config.get_text_config()
    return ModelFacts(getattr(text, "max_position_embeddings", None), getattr(text, "vocab_size", None), roles)


def roles_named_in(chat_template: str) -> frozenset[str]:
    """The words with which the template compares a message's role, such as `developer` or `ipython`."""
    compared = re.findall(r"""role['"]?\]?\s*(?:==|!=|not in|in)\s*([\[(][^\])]*[\])]|['"]\w+['"])""", chat_template)
    return frozenset(re.findall(r"""['"](\w+)['"]""", " ".join(compared)))


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


def _chat_template(path: Path, *, needed: bool) -> str:
    """Of the tokenizer; "" where there is none and none is needed."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code())
    except Exception as error:  # as above
        problem = f"has no tokenizer that transformers can load ({_first_line(error)})"
        raise ConfigurationError(MODEL_FIELD, str(path), problem, "copy the tokenizer's files beside the model") from error
    if not needed:
        return ""
    if not tokenizer.chat_template:
        remedy = "add chat_template.jinja (an instruct model has one), or give processed data (input_ids, labels)"
        raise ConfigurationError(MODEL_FIELD, str(path), "has a tokenizer without a chat template", remedy)
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:  # several, and none is called default
        remedy = "name one of its chat templates default"
        raise ConfigurationError(MODEL_FIELD, str(path), f"has no default chat template ({_first_line(error)})", remedy) from error


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
        if says_full(error):
            raise full_disk(f"{field} cannot be written", path) from error
        reason = error.strerror or str(error)
        remedy = "name a directory that this user may write, on a volume with free space"
        raise ConfigurationError(field, str(path), f"cannot be written ({reason})", remedy) from error
