"""A data set that would not be trained on as its user means it is refused before anything is launched, with lines and remedy."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tiny import conversation

from kubetune_trainer.contract import FailureClass
from kubetune_trainer.data import survey
from kubetune_trainer.data.duplicates import Duplicates
from kubetune_trainer.data.rows import ROLES
from kubetune_trainer.data.settings import DataSettings
from kubetune_trainer.data.survey import check_dataset
from kubetune_trainer.errors import DataError

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
    ("a list", "messages", ["[1]"], 1, "is a JSON int, not an object"),
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

    assert check_dataset(path, data_format, unmask=unmask).rows == 3


def test_system_messages_alone_teach_nothing_even_unmasked(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(messages({"role": "system", "content": "be good"}))

    with pytest.raises(DataError, match="anything but system messages"):
        check_dataset(path, "messages", unmask=True)


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Twenty times more distinct rows than are remembered."""
    import tracemalloc

    monkeypatch.setattr(survey, "Duplicates", lambda: Duplicates(capacity=1000))
    path = tmp_path / "train.jsonl"
    with path.open("w") as file:
        for i in range(20_000):
            file.write(json.dumps(conversation(i)) + "\n")
    tracemalloc.start()
    try:
        assert check_dataset(path, "messages").rows == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 4_000_000
    assert peak < 1_000_000


def test_all_bad_lines_are_told_at_once_up_to_a_number(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join([GOOD, "oops", GOOD, messages({"role": "usr", "content": "x"}), *["{}"] * 8]))

    with pytest.raises(DataError) as caught:
        check_dataset(path, "messages", settings=DataSettings(errors_shown=3))

    assert re.findall(r"(?:rows: |; )line (\d+)", caught.value.problem) == ["2", "4", "5"]
    assert caught.value.problem.startswith("has 10 bad rows: line 2: is no JSON")
    assert caught.value.problem.endswith("; and 7 more")
    assert "use one of assistant, pretraining, system, tool, user" in caught.value.problem  # each with its remedy
    with pytest.raises(DataError) as caught:
        check_dataset(path, "messages")
    assert re.findall(r"(?:rows: |; )line (\d+)", caught.value.problem) == ["2", *map(str, range(4, 13))]
    assert "more" not in caught.value.problem


def test_roles_beyond_the_usual_are_those_that_the_template_names(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(messages({"role": "developer", "content": "be brief"}, USER, ASSISTANT))

    with pytest.raises(DataError, match="'developer' does not exist"):
        check_dataset(path, "messages")
    assert check_dataset(path, "messages", roles=ROLES | {"developer"}).examples["developer"][0] == 1


CALL = [{"type": "function", "function": {"name": "f", "arguments": {}}}]


def test_what_is_allowed_and_odd_is_remarked_once_with_its_count(tmp_path: Path):
    call = messages(USER, {"role": "assistant", "tool_calls": CALL}, {"role": "tool", "content": "3"}, ASSISTANT)
    cut = messages({"role": "pretraining", "content": "<|user|>\nIs 3 < 4?\n<|assistant|>\nYes."})
    whole = messages({"role": "pretraining", "content": "<|user|>\nHello\n<|assistant|>\nYes.<|endoftext|>"})
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join([GOOD, call, whole, call, cut, messages(USER, ASSISTANT, tools=[{"name": "f"}])]))

    remarks = check_dataset(path, "messages").remarks

    assert [remark.split(":")[0] for remark in remarks] == [
        "2 times, first in line 2",
        "1 times, first in line 5",
        "1 times, first in line 6",
    ]
    assert "tool_calls without content" in remarks[0]
    assert "part of a pretraining message is dropped" in remarks[1]
    assert "tools is not handed to the chat template" in remarks[2]


def test_reasoning_may_stand_without_content(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(messages(USER, {"role": "assistant", "content": None, "reasoning_content": "hm"}))

    assert check_dataset(path, "messages").rows == 1


def test_repeated_rows_are_counted_and_limits_hold(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "train.jsonl"
    path.write_text("\n".join([GOOD, messages(USER, ASSISTANT, id=1), GOOD, f"  {GOOD} "]))
    found = check_dataset(path, "messages")

    assert (found.duplicates, found.duplicates_exact, found.duplicate_lines) == (2, True, (3, 4))
    assert found.duplicate_percent == 50
    assert "2 of 4 rows (50.0 %) repeat an earlier one, such as line 3, 4" in caplog.text
    caplog.clear()
    check_dataset(path, "messages", settings=DataSettings(warn_duplicate_percent=50, refuse_duplicate_percent=50))
    assert not caplog.text
    with pytest.raises(DataError, match=r"2 of 4 rows .* KUBETUNE_DATA_REFUSE_DUPLICATE_PERCENT \(49\)"):
        check_dataset(path, "messages", settings=DataSettings(refuse_duplicate_percent=49))


def test_the_digest_is_of_the_rows_alone(tmp_path: Path):
    one, same, other = (tmp_path / name for name in ("a", "b", "c"))
    one.write_text(f"{GOOD}\n{GOOD}\n")
    same.write_text(f"{GOOD}\r\n\n  {GOOD}")
    other.write_text(f"{GOOD}\n")

    digests = [check_dataset(path, "messages").digest for path in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]


def test_processed_data_of_another_tokenizer(tmp_path: Path):
    path = tmp_path / "train.jsonl"
    path.write_text(processed([5, 6], [5, 6]) + "\n" + processed([5, 400], [5, 400]))

    assert check_dataset(path, "processed", vocab_size=401).rows == 2
    with pytest.raises(DataError, match="line 2: token 400 is beyond the model's vocabulary of 400"):
        check_dataset(path, "processed", vocab_size=400)
