"""Everything bad that a user can hand over is refused before anything is launched, with the line and the remedy."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import conversation, make_tiny_model, write_messages

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data import preflight
from kubetune_trainer.data.preflight import check_dataset, check_model, check_output
from kubetune_trainer.errors import ConfigurationError, DataError

USER = {"role": "user", "content": "hello"}
ASSISTANT = {"role": "assistant", "content": "hi"}
GOOD = json.dumps({"messages": [USER, ASSISTANT]})


def messages(*turns: object, **more: object) -> str:
    return json.dumps({"messages": list(turns), **more})


def processed(tokens: object, labels: object) -> str:
    return json.dumps({"input_ids": tokens, "labels": labels})


# format, the lines, the line that is named (None: the whole file), what the message says
BAD_DATA: list[tuple[str, str, list[str | bytes], int | None, str]] = [
    ("no JSON", "messages", [GOOD, GOOD, '{"messages": ['], 3, "is no JSON"),
    ("blank lines are counted", "messages", [GOOD, "", "oops"], 3, "is no JSON"),
    ("no UTF-8", "messages", [GOOD, b'{"messages": "\xff"}'], 2, "is not UTF-8"),
    ("a list", "messages", ["[1]"], 1, "is a JSON list, not an object"),
    ("no messages", "messages", [json.dumps({"text": "x"})], 1, "has no messages (it has text)"),
    ("empty messages", "messages", [GOOD, messages()], 2, "messages is empty"),
    ("messages no list", "messages", [json.dumps({"messages": "hi"})], 1, "messages is empty or not a list"),
    ("a message no object", "messages", [messages("hi")], 1, "messages[0] is not an object"),
    ("unknown role", "messages", [GOOD, messages(USER, {"role": "asistant", "content": "x"})], 2, "messages[1].role 'asistant'"),
    ("no role", "messages", [messages({"content": "x"})], 1, "messages[0].role None does not exist"),
    ("unhashable role", "messages", [messages({"role": ["user"], "content": "x"})], 1, "messages[0].role ['user']"),
    (
        "content a list",
        "messages",
        [messages(USER, {"role": "assistant", "content": [{"text": "x"}]})],
        1,
        "messages[1].content is list",
    ),
    ("content missing", "messages", [messages(USER, {"role": "assistant"})], 1, "messages[1].content is NoneType, not a string"),
    (
        "reasoning no string",
        "messages",
        [messages(USER, {**ASSISTANT, "reasoning_content": 1})],
        1,
        "reasoning_content is not a string",
    ),
    ("unmask no boolean", "messages", [messages(USER, ASSISTANT, unmask="yes")], 1, "unmask is 'yes'"),
    ("pretraining without marks", "messages", [messages({"role": "pretraining", "content": "plain"})], 1, "is dropped whole"),
    ("no assistant anywhere", "messages", [messages(USER), messages(USER, USER)], None, "none of its 2 rows has an assistant turn"),
    ("empty file", "messages", [], None, "is empty"),
    ("only blank lines", "messages", ["", "  "], None, "is empty"),
    (
        "lengths differ",
        "processed",
        [processed([1, 2], [1, 2]), processed([1, 2, 3], [1, 2])],
        2,
        "labels has 2 entries, input_ids 3",
    ),
    ("labels missing", "processed", [json.dumps({"input_ids": [1]})], 1, "labels is missing"),
    ("no ints", "processed", [processed([1, "2"], [1, 2])], 1, "input_ids holds '2', not an integer"),
    ("null among them", "processed", [processed([1, None], [1, 2])], 1, "input_ids holds None"),
    ("floats", "processed", [processed([1, 2], [1.0, 2])], 1, "labels holds 1.0"),
    ("booleans", "processed", [processed([True, 2], [1, 2])], 1, "input_ids holds True"),
    ("empty lists", "processed", [processed([], [])], 1, "input_ids is empty"),
    ("a negative token", "processed", [processed([-1, 2], [1, 2])], 1, "input_ids holds -1"),
    ("another mask", "processed", [processed([1, 2], [-1, 2])], 1, "labels holds -1"),
    ("all masked", "processed", [processed([1, 2], [-100, -100])] * 2, None, "every label of its 2 rows is -100"),
    ("only the first label", "processed", [processed([1, 2], [1, -100])], None, "every label"),
    ("no document", "pretraining", [json.dumps({"text": "x"})], 1, "document is missing"),
    ("empty documents", "pretraining", [json.dumps({"document": ""})], None, "every document of its 1 rows is empty"),
]


@pytest.mark.parametrize(
    ("data_format", "lines", "line", "says"), [case[1:] for case in BAD_DATA], ids=[case[0] for case in BAD_DATA]
)
def test_bad_data_is_refused_with_line_and_remedy(
    tmp_path: Path, data_format: str, lines: list[str | bytes], line: int | None, says: str
):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"".join((text if isinstance(text, bytes) else text.encode()) + b"\n" for text in lines))

    with pytest.raises(DataError) as caught:
        check_dataset(path, data_format)

    error = caught.value
    assert says in str(error)
    assert error.field == "data_path"
    assert error.value == str(path)
    assert error.remedy
    assert error.failure_class is FailureClass.DATA_ERROR
    named = re.match(r"line (\d+): ", error.problem)
    assert (int(named[1]) if named else None) == line


def test_missing_file_and_directory(tmp_path: Path):
    with pytest.raises(DataError, match="does not exist"):
        check_dataset(tmp_path / "none.jsonl", "messages")
    with pytest.raises(DataError, match="is not a file"):
        check_dataset(tmp_path, "messages")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"does not exist|cannot be read"):
        check_dataset(tmp_path / "file" / "below.jsonl", "messages")


GOOD_DATA: list[tuple[str, str, list[str], bool]] = [
    ("messages", "messages", [GOOD] * 3, False),
    ("an assistant turn in one row is enough", "messages", [messages(USER), GOOD, messages(USER)], False),
    ("a tool", "messages", [messages(USER, {"role": "tool", "content": "3"}, ASSISTANT)] * 3, False),
    ("reasoning", "messages", [messages(USER, {**ASSISTANT, "reasoning_content": "because"})] * 3, False),
    ("unmask of the rows", "messages", [messages(USER, unmask=True)] * 3, False),
    ("unmask of all", "messages", [messages(USER)] * 3, True),
    ("pretraining", "messages", [messages({"role": "pretraining", "content": "<|user|>\nhi<|assistant|>\nho"})] * 3, False),
    ("processed", "processed", [processed([1, 2, 3], [-100, 2, 3])] * 3, False),
    ("documents", "pretraining", [json.dumps({"document": "text"})] * 3, False),
]


@pytest.mark.parametrize(("data_format", "lines", "unmask"), [case[1:] for case in GOOD_DATA], ids=[case[0] for case in GOOD_DATA])
def test_good_data_is_counted(tmp_path: Path, data_format: str, lines: list[str], unmask: bool):
    path = tmp_path / "train.jsonl"
    path.write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")  # a byte order mark, blank lines, no newline at the end

    assert check_dataset(path, data_format, unmask=unmask) == 3


def test_system_messages_alone_teach_nothing_even_unmasked(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(messages({"role": "system", "content": "be good"}))

    with pytest.raises(DataError, match="anything but system messages"):
        check_dataset(path, "messages", unmask=True)


def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    import tracemalloc

    path = tmp_path / "train.jsonl"
    with path.open("w") as file:
        for i in range(20_000):
            file.write(json.dumps(conversation(i)) + "\n")
    tracemalloc.start()
    try:
        assert check_dataset(path, "messages") == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 4_000_000
    assert peak < 1_000_000


def test_the_tiny_model_and_data_pass(tiny_model: Path, tmp_path: Path):
    facts = check_model(tiny_model, needs_chat_template=True)

    assert facts.max_positions == 512
    assert facts.vocab_size == json.loads((tiny_model / "config.json").read_text())["vocab_size"]
    assert check_dataset(write_messages(tmp_path / "d.jsonl", 7), "messages") == 7


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
    with pytest.raises(TrainingError, match="full disk") as caught:
        check_output(tmp_path)
    assert caught.value.failure_class is FailureClass.DISK_FULL
