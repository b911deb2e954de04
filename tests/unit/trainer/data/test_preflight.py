"""A model or an output that cannot be used is refused before anything is launched, with the remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import make_tiny_model

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data import preflight
from kubetune_trainer.data.preflight import check_model, check_output, roles_named_in
from kubetune_trainer.errors import ConfigurationError


def test_the_tiny_model_passes(tiny_model: Path):
    facts = check_model(tiny_model, needs_chat_template=True)

    assert facts.max_positions == 512
    assert facts.vocab_size == json.loads((tiny_model / "config.json").read_text())["vocab_size"]


def broken(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def without(name: str) -> Any:
    return lambda path: (path / name).unlink()


def rewritten(name: str, text: str) -> Any:
    return lambda path: (path / name).write_text(text)


def half_an_index(path: Path) -> None:
    (path / "model.safetensors").rename(path / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


BAD_MODELS: list[tuple[str, Any, str]] = [
    ("no config.json", without("config.json"), "has no config.json"),
    ("torn config", rewritten("config.json", "{"), "cannot read"),
    ("unknown type", rewritten("config.json", '{"model_type": "martian"}'), "cannot read"),
    ("no weights", without("model.safetensors"), "has no weights"),
    ("a shard missing", half_an_index, "lacks model-00002-of-00002.safetensors"),
    (
        "no tokenizer",
        lambda path: [without(name)(path) for name in ("tokenizer.json", "tokenizer_config.json")],
        "has no tokenizer",
    ),
    ("torn tokenizer", rewritten("tokenizer.json", "{"), "has no tokenizer that transformers can load"),
    ("no chat template", without("chat_template.jinja"), "without a chat template"),
]


@pytest.mark.parametrize(("breaks", "says"), [case[1:] for case in BAD_MODELS], ids=[case[0] for case in BAD_MODELS])
def test_bad_model_is_refused(tiny_model: Path, tmp_path: Path, breaks: Any, says: str):
    path = broken(tiny_model, tmp_path)
    breaks(path)

    with pytest.raises(ConfigurationError) as caught:
        check_model(path, needs_chat_template=True)

    assert says in str(caught.value)
    assert caught.value.field == "model_path"
    assert caught.value.value == str(path)
    assert caught.value.failure_class is FailureClass.USER_ERROR


def test_model_that_is_missing_or_a_file(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        check_model(tmp_path / "none", needs_chat_template=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is not a directory"):
        check_model(tmp_path / "file", needs_chat_template=False)


def test_processed_data_need_no_chat_template(tmp_path: Path):
    path = make_tiny_model(tmp_path / "m", chat_template=False)

    assert check_model(path, needs_chat_template=False).max_positions == 512
    with pytest.raises(ConfigurationError, match="chat template"):
        check_model(path, needs_chat_template=True)


def test_output_is_made_and_left_empty(tmp_path: Path):
    check_output(tmp_path / "a" / "b")

    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "file/far/below"])
def test_output_that_cannot_be_written(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ConfigurationError, match="cannot be written") as caught:
        check_output(tmp_path / place)

    assert caught.value.field == "ckpt_output_dir"
    assert caught.value.value == str(tmp_path / place)


def test_read_only_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Permission bits do not stop root, so the refusal comes from the edge itself."""

    def denied(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(preflight.tempfile, "NamedTemporaryFile", denied)
    with pytest.raises(ConfigurationError, match=r"cannot be written \(Permission denied\)"):
        check_output(tmp_path)


def test_full_disk_is_not_the_users_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from kubetune_trainer.errors import TrainingError

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preflight.tempfile, "NamedTemporaryFile", full)
    with pytest.raises(TrainingError, match="no space left") as caught:
        check_output(tmp_path)
    assert caught.value.failure_class is FailureClass.DISK_FULL


def test_roles_that_a_real_template_names():
    import trl

    folder = Path(trl.__file__).parent / "chat_templates"
    named = {name: roles_named_in((folder / f"{name}.jinja").read_text()) for name in ("llama3_1", "gptoss", "qwen3", "llama3")}

    assert {"ipython", "tool"} <= named["llama3_1"]
    assert "developer" in named["gptoss"]
    assert named["qwen3"] == {"system", "user", "assistant", "tool"}
    assert named["llama3"] == set()  # prints whatever role there is: no misspelt one is let through for that
